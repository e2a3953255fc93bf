"""The runs of a sweep or a comparison, shared out over processes and machines.

What runs there are, who trains which and what came out is kept in a study of Optuna; `labs sweep`
and `labs compare` come here with `--workers`, and only then are Optuna and submitit needed.
"""
