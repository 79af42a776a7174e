"""What the training worker does: datasets inspected, networks trained and evaluated, each in a process of its
own. `kinds` has one line for each kind of job.
"""
