"""The classifiers beside scikit-learn's own: accuracy and time of 5-fold cross-validation.

    OMP_NUM_THREADS=1 python benchmarks/estimators.py [--data digits iris] [--seeds 0 1 2]

All models with their defaults, behind a StandardScaler where they want one; the same stratified,
shuffled folds for all, shuffled anew for each seed. Accuracy in percent ± standard error over the
folds of all seeds (which share samples: a little too small), the same of its difference from
MLPClassifier's on each fold, and the median of the processor seconds that learning a fold takes.
"""

import argparse
import statistics
import time
import warnings
from collections import defaultdict
from typing import Any

from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import onward

DATA = {
    "digits": datasets.load_digits,
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "cancer": datasets.load_breast_cancer,
}


def models(seed: int) -> dict[str, Any]:
    """Every model by its name, each with its defaults."""
    scaled = StandardScaler()
    return {
        "ForwardForwardClassifier": onward.ForwardForwardClassifier(random_state=seed),
        "CollaborativeForwardForwardClassifier": onward.CollaborativeForwardForwardClassifier(
            random_state=seed
        ),
        "UnsupervisedForwardForwardClassifier": onward.UnsupervisedForwardForwardClassifier(
            random_state=seed
        ),
        "MLPClassifier": make_pipeline(scaled, MLPClassifier(random_state=seed)),
        "LogisticRegression": make_pipeline(scaled, LogisticRegression(max_iter=1000)),
        "RandomForestClassifier": RandomForestClassifier(random_state=seed),
    }


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    given = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("| data | model | accuracy, % | minus MLPClassifier | processor s a fold |")
    print("|---|---|---|---|---|")
    for name in given.data:
        scores, seconds = judged(name, given.seeds)
        for title, found in scores.items():
            beside = [a - b for a, b in zip(found, scores["MLPClassifier"], strict=True)]
            took = f"{statistics.median(seconds[title]):.1f}"
            print(
                f"| {name} | {title} | {told(found)} | {told(beside, '+')} | {took} |", flush=True
            )


def judged(name: str, seeds: list[int]) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """By model: its accuracy on every fold of every shuffle, and the seconds of learning each."""
    samples, labels = DATA[name](return_X_y=True)
    scores, seconds = defaultdict(list), defaultdict(list)
    for seed in seeds:
        for learn, judge in StratifiedKFold(5, shuffle=True, random_state=seed).split(
            samples, labels
        ):
            for title, model in models(seed).items():
                began = time.process_time()
                model.fit(samples[learn], labels[learn])
                seconds[title].append(time.process_time() - began)
                scores[title].append(100 * model.score(samples[judge], labels[judge]))
    return scores, seconds


def told(found: list[float], sign: str = "") -> str:
    """Mean ± standard error."""
    error = statistics.stdev(found) / len(found) ** 0.5
    return f"{statistics.fmean(found):{sign}.2f} ± {error:.2f}"


if __name__ == "__main__":
    main()
