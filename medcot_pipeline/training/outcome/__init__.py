"""What a training run leaves and tells.

Belongs here: the adapter's files and curves, its card, the energy it took, what is sent to Weights & Biases.
Does not belong here: the run itself (training/qlora.py).
"""
