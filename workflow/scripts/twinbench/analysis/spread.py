"""What is known of the spread between trainings that differ in their seed alone, and from where.

Verdicts lean on it, since a study of few seeds can hardly see it. Measured values for a recipe, of at
least five seeds in each framework, replace these (docs/statistics.md says how).
"""

from twinbench.analysis.statistics import Spread

# Jordan 2024, "On the Variance of Neural Network Training with respect to Test Sets and Distributions",
# ICLR 2024, arXiv:2304.01910: 60,000 trainings on CIFAR-10 have a standard deviation of 0.5 percentage
# points after 4 epochs, 0.1 after 16 and 0.03 after 64. Twins of one to three epochs in this project: 0.48.
TWINS = Spread(std=0.005, degrees_of_freedom=4)
# Pairs of other recipes or networks, in short trainings of this project.
SHORT_TRAININGS = Spread(std=0.009, degrees_of_freedom=12)
_SHORT = 4  # epochs


def known_spread(twins: bool, epochs: int) -> Spread:
    """The spread of one method's trainings of so many epochs; `twins`: of equal network and recipe."""
    return TWINS if twins or epochs > _SHORT else SHORT_TRAININGS
