"""The neural network of FirstRead: arrays in, numbers out.

Nothing of the rest of the project is imported here, and neither torch nor OpenVINO is imported until a function needs it, so a
screening worker on a processor never loads torch.
"""
