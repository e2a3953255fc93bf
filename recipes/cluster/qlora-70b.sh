#!/bin/bash
# QLoRA on a 70B model: two GPUs of 24 GB, their shards in the computer's memory.
# From the course's folder:  sbatch recipes/cluster/qlora-70b.sh --set dataset=FILE
#SBATCH --job-name=qlora-70b
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=2
#SBATCH --cpus-per-task=16
#SBATCH --mem=192G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --output=%x-%j.out
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"

python=${LABS_PYTHON:-.venv/bin/python}
out=${LABS_OUT:-runs/qlora-70b}
# Compute nodes rarely have a network: fetch the model beforehand, where there is one.
export HF_HUB_OFFLINE=${HF_HUB_OFFLINE:-1}
# srun has not taken the count of cores over from sbatch since Slurm 22.05.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

# A job that was stopped and queued again goes on from its last checkpoint: --resume begins anew
# where there is none.
exec srun "$python" -m torch.distributed.run --standalone --nproc-per-node=2 \
  -m labs_lib.train recipes/cluster/qlora-70b.yaml --sharding fsdp2 --offload --out "$out" --resume "$@"
