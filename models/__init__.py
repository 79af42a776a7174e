"""The neural network of FirstRead: arrays in, numbers out.

Nothing of the rest of the project is imported here. Screening (`models.bundle`) imports OpenVINO and, only
where there is a GPU, torch; training imports both.
"""
