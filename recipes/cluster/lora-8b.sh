#!/bin/bash
# LoRA on an 8B model: one GPU of 24 GB.
# From the course's folder:  sbatch recipes/cluster/lora-8b.sh --set dataset=FILE
#SBATCH --job-name=lora-8b
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=48G
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --output=%x-%j.out
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"

python=${LABS_PYTHON:-.venv/bin/python}
out=${LABS_OUT:-runs/lora-8b}
# Compute nodes rarely have a network: fetch the model beforehand, where there is one.
export HF_HUB_OFFLINE=${HF_HUB_OFFLINE:-1}
# srun has not taken the count of cores over from sbatch since Slurm 22.05.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

# A job that was stopped and queued again goes on from its last checkpoint: --resume begins anew
# where there is none.
exec srun "$python" -m labs_lib.train recipes/cluster/lora-8b.yaml --out "$out" --resume "$@"
