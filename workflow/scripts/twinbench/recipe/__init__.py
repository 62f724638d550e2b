"""What twins share: every random choice and every number that decides a training.

Each random quantity is a function of (seed, purpose, epoch, step) and never of earlier random numbers.
So both frameworks get the same values, and a resumed training continues with the same ones. Epochs
count from 1, steps from 0 within their epoch.
"""
