"""What twins share: every random choice and every number that decides a training.

Each random quantity is a function of (seed, what it is for, epoch, step) and never of what was
drawn before. So both frameworks get the same values, and a resumed training gets what it would have
got. Epochs count from 1, steps from 0 within their epoch.
"""
