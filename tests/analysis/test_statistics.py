"""Intervals and tests against known answers and other implementations."""

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from twinbench.analysis import statistics
from twinbench.analysis.spread import PUBLISHED, SHORT_FROM_SCRATCH, measured_spread
from twinbench.analysis.statistics import Estimate, Spread, moderated


def random_differences(seeds: int, images: int = 400, shared: float = 0.2) -> np.ndarray:
    """int8 (seeds, images); on the fraction `shared` of the images every seed has the same one."""
    random = np.random.default_rng([seeds, images])
    found = random.choice([-1, 0, 1], (seeds, images), p=[0.05, 0.8, 0.15]).astype(np.int8)
    found[:, : int(shared * images)] = found[0, : int(shared * images)]
    return found


# --- The moderated t -------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [1, 2, 3, 8])
@pytest.mark.parametrize("spread", [PUBLISHED, SHORT_FROM_SCRATCH])
def test_the_moderated_t_is_that_of_the_formula(seeds, spread):
    """The formula written out with loops, and SciPy's t."""
    d = random_differences(seeds)
    images = d.shape[1]
    found = moderated(d, spread)

    means = [np.mean(row) for row in d]
    of_images = np.mean([np.mean((row - np.mean(row)) ** 2) for row in d]) / images
    image = 0.0
    if seeds > 1:
        variances = [np.var(column, ddof=1) for column in d.T.tolist()]
        between = np.var([np.mean(column) for column in d.T.tolist()], ddof=1)
        image = max(0, (between - np.mean(variances) / seeds) / images)
    prior = of_images - image + 2 * spread.std**2
    nu = spread.degrees_of_freedom
    s2 = np.var(means, ddof=1) if seeds > 1 else 0.0
    pooled = max((nu * prior + (seeds - 1) * s2) / (nu + seeds - 1), of_images - image)
    unseen = 1.959964**2 / images**2
    error = np.sqrt(pooled / seeds + image + unseen)
    t = stats.t(nu + seeds - 1)

    assert found.standard_error == pytest.approx(error)
    assert found.p_value() == pytest.approx(2 * t.sf(abs(np.mean(means)) / error))
    assert found.interval() == pytest.approx(
        (np.mean(means) - t.ppf(0.975) * error, np.mean(means) + t.ppf(0.975) * error)
    )
    one_sided = [t.sf((np.mean(means) + 0.2) / error), t.cdf((np.mean(means) - 0.2) / error)]
    assert found.equivalence_p(0.2) == pytest.approx(max(one_sided))


def test_the_spread_of_few_seeds_is_squeezed_by_hand():
    # Three seeds with d = 1, 0, 1 on every image, so no sampling: s2 = 1/3, s0^2 = 2 * 0.5^2 = 1/2,
    # pooled (4/2 + 2/3) / 6 = 4/9, SE^2 = 4/27, t = (2/3) / sqrt(4/27) = sqrt(3) with 6 degrees.
    d = np.repeat(np.array([[1], [0], [1]], dtype=np.int8), 10_000, axis=1)
    found = moderated(d, Spread(0.5, 4))
    assert found.standard_error == pytest.approx(np.sqrt(4 / 27))
    assert found.p_value() == pytest.approx(2 * stats.t.sf(np.sqrt(3), 6))


def test_one_seed_needs_more_than_two_percentage_points():
    """On 10,000 images, 8 % of them discordant: a winner beyond 2.1 points, equivalence never."""
    d = np.zeros((1, 10_000), dtype=np.int8)
    d[0, :400], d[0, 400:800] = 1, -1
    found = moderated(d, PUBLISHED)
    assert found.interval()[1] == pytest.approx(0.0211, abs=0.0001)
    assert found.equivalence_p(0.01) > 0.05


@pytest.mark.parametrize("seeds", [1, 2, 3, 20])
@pytest.mark.parametrize("gap", [0, 3])
def test_no_spread_between_seeds_is_no_certainty(seeds, gap):
    d = np.zeros((seeds, 1000), dtype=np.int8)
    d[:, :gap] = 1  # the same images each time
    found = moderated(d, PUBLISHED)
    assert found.standard_error > 0.0005
    assert 0 < found.p_value() <= 1 and np.isfinite(found.interval()).all()


def test_few_images_without_disagreement_do_not_pass_for_equivalence():
    """Nobody saw the images on which the methods differ: on 200 they could be 2 %, on 10,000 not."""
    few, many = (moderated(np.zeros((20, n), dtype=np.int8), PUBLISHED) for n in (200, 10_000))
    assert few.equivalence_p(0.01) > 0.05 > many.equivalence_p(0.01)
    # With nothing else in it, the interval is that of the score: z^2 / n.
    alone = moderated(np.zeros((20, 200), dtype=np.int8), Spread(0.0, 1e6))
    assert alone.interval() == pytest.approx(statistics.score_interval(0, 0, 200), rel=0.02)


def test_the_choice_of_images_is_in_the_interval_however_many_seeds_agree():
    # 60 of 1,000 images are only a's and 40 only b's, in each of 50 seeds, which show no other images.
    d = np.zeros((50, 1000), dtype=np.int8)
    d[:, :60], d[:, 60:100] = 1, -1
    assert moderated(d, PUBLISHED).standard_error > np.sqrt(0.1 / 1000) * 0.98


def test_the_variance_between_seeds_is_never_below_that_of_sampling():
    d = random_differences(30, 2000, shared=0)
    d[:] = np.random.default_rng(0).permuted(np.tile(d[0], (30, 1)), axis=1)  # equal means
    found = moderated(d, Spread(0.0, 1))
    assert found.training_variance >= 0.98 * d.var() / 2000


def test_a_difference_of_differences_has_the_luck_of_four_trainings():
    d = np.zeros((1, 1000), dtype=np.int8)
    two, four = (moderated(d, PUBLISHED, trainings).training_variance for trainings in (2, 4))
    assert four == pytest.approx(2 * two)


def test_a_new_pair_of_trainings_goes_the_same_way_as_often_as_said():
    random = np.random.default_rng(1)
    found, same = [], []
    for _ in range(1500):
        truth, luck = random.uniform(-3, 3), random.normal(0, 1, 4)
        seen = truth + luck[:3]
        variance = (4 + 2 * seen.var(ddof=1)) / 6
        found.append(Estimate(seen.mean(), variance, 0.0, 3, 4).same_direction())
        same.append(np.sign(truth + luck[3]) == np.sign(seen.mean()))
    assert np.mean(found) == pytest.approx(np.mean(same), abs=0.03)


# --- How many seeds would settle it ----------------------------------------------------------


@pytest.mark.parametrize("image_variance", [0, 0.02])
@pytest.mark.parametrize("seeds", [1, 3])
def test_so_many_seeds_settle_what_is_open_in_four_of_five_studies(seeds, image_variance):
    """Studies with a variance of 1 between seeds, of any true difference; margin 1."""
    random = np.random.default_rng(0)
    settled = []
    image_known = image_variance * (seeds > 1)
    for _ in range(2000):
        on_these_images = random.uniform(-6, 6)
        d = on_these_images + random.normal(0, 1, 100)
        now = _estimate(d[:seeds], image_known)
        if now.p_value() < 0.05 or now.equivalence_p(1) < 0.05:
            continue
        later = _estimate(d[: now.seeds_to_settle(1)], image_known)
        settled.append(later.p_value() < 0.05 or later.equivalence_p(1) < 0.05)
    assert len(settled) > 300 and 0.75 < np.mean(settled) < 0.9


def _estimate(d: np.ndarray, image_variance: float) -> Estimate:
    freedom = len(d) - 1
    squares = freedom * d.var(ddof=1) if freedom else 0
    return Estimate(d.mean(), (4 + squares) / (4 + freedom), image_variance, len(d), 4)


def test_more_seeds_than_now_are_asked_for_and_more_for_more_contrasts():
    found = Estimate(0.005, 7e-5, 0.0, 3, 4)
    alone, of_six = found.seeds_to_settle(0.01), found.seeds_to_settle(0.01, contrasts=6)
    assert 3 < alone < of_six


def test_too_few_images_are_not_settled_by_any_number_of_seeds():
    assert Estimate(0.005, 5e-5, 0.01**2, 3, 4).seeds_to_settle(0.01) is None


# --- The measured spread ---------------------------------------------------------------------


def test_the_measured_spread_is_jordans_and_its_interval_covers_the_truth():
    random = np.random.default_rng(0)
    difficulty = random.beta(0.5, 0.2, 4000)
    found = []
    for _ in range(200):
        luck = random.normal(0, 0.01, 6)  # of the accuracy on endless images
        gain = difficulty * (1 - difficulty)
        probability = difficulty + luck[:, None] * gain / gain.mean()
        found.append(measured_spread(random.random((6, 4000)) < probability))
    std, low, high = np.array(found).T
    assert np.sqrt(np.square(std).mean()) == pytest.approx(0.01, rel=0.1)
    assert 0.9 < ((low <= 0.01) & (high >= 0.01)).mean() <= 1


def test_trainings_that_differ_by_sampling_alone_have_no_measured_spread():
    correct = np.random.default_rng(2).random((400, 2000)) < 0.8
    std, low, _ = measured_spread(correct)
    assert low == 0 and std < 0.0035  # sampling alone has 0.009


def test_the_measured_spread_by_hand():
    # Accuracies 1/2 and 0: variance 1/8; of the images 1/2 and 0, so 1/2 / 4; 2/1 * (1/8 - 1/8) = 0.
    assert measured_spread(np.array([[True, False], [False, False]]))[0] == 0
    # Accuracies 1 and 0: variance 1/2; of the images 1/2 each, so 1 / 4; 2 * (1/2 - 1/4) = 1/2.
    assert measured_spread(np.array([[True, True], [False, False]]))[0] == pytest.approx(0.5**0.5)


# --- Holm -------------------------------------------------------------------------------------


def test_holms_adjustment_is_that_of_statsmodels():
    random = np.random.default_rng(0)
    for size in (1, 2, 5, 30):
        values = random.random(size) ** 3
        expected = multipletests(values, method="holm")[1]
        assert statistics.holm(values) == pytest.approx(expected)
    assert statistics.holm([]) == []


def test_holms_adjustment_by_hand():
    # 0.01 * 3, then the largest so far of 0.02 * 2 and 0.04 * 1.
    assert statistics.holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])


# --- Two trained models -----------------------------------------------------------------------


@pytest.mark.parametrize(("only_a", "only_b"), [(12, 5), (40, 71)])
def test_the_score_of_no_difference_is_mcnemars(only_a, only_b):
    found = statistics.score_statistic(only_a, only_b, 1000, 0)
    expected = mcnemar([[0, only_a], [only_b, 0]], exact=False, correction=False)
    assert found**2 == pytest.approx(expected.statistic)


@pytest.mark.parametrize("difference", [-0.3, 0.0, 0.01, 0.4])
def test_the_score_uses_the_likeliest_table_with_that_difference(difference):
    """Tango's closed form against a numerical search for the maximum of the likelihood."""
    only_a, only_b, images = 12, 5, 80

    def improbability(b):
        a = b + difference
        rest = (images - only_a - only_b) * np.log(1 - a - b)
        return -(only_a * np.log(a) + only_b * np.log(b) + rest)

    bounds = (max(0, -difference) + 1e-9, (1 - difference) / 2 - 1e-9)
    fraction = optimize.minimize_scalar(
        improbability, bounds=bounds, method="bounded", options={"xatol": 1e-12}
    ).x
    variance = (2 * fraction + difference - difference**2) / images
    expected = ((only_a - only_b) / images - difference) / np.sqrt(variance)
    found = statistics.score_statistic(only_a, only_b, images, difference)
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_score_interval_of_no_disagreement_is_z2_over_n_plus_z2():
    limit = stats.norm.ppf(0.975) ** 2 / (100 + stats.norm.ppf(0.975) ** 2)
    assert statistics.score_interval(0, 0, 100) == pytest.approx((-limit, limit))


@pytest.mark.parametrize("table", [(50, 0, 50), (0, 50, 50), (0, 1, 1), (1, 0, 10000)])
def test_the_score_interval_stays_within_the_possible(table):
    low, high = statistics.score_interval(*table)
    assert -1 <= low <= (table[0] - table[1]) / table[2] <= high <= 1


def test_the_score_interval_covers_the_truth_in_95_of_100_samples():
    random = np.random.default_rng(0)
    samples = random.multinomial(300, [0.12, 0.08, 0.8], size=500)
    inside = [
        low <= 0.04 <= high
        for low, high in (statistics.score_interval(int(a), int(b), 300) for a, b, _ in samples)
    ]
    assert 0.92 < np.mean(inside) < 0.98
