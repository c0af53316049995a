"""The classifiers beside scikit-learn's own: accuracy and time of 5-fold cross-validation.

    OMP_NUM_THREADS=1 python benchmarks/estimators.py [--data digits iris wine cancer] [--seed 0]

All models with their defaults, behind a StandardScaler where they want one; the same stratified,
shuffled folds for all. Accuracy in percent ± standard error over folds; seconds a fold.
"""

import argparse
import statistics
import time
import warnings
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
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("| data | model | accuracy, % | s a fold |\n|---|---|---|---|")
    for name in given.data:
        samples, labels = DATA[name](return_X_y=True)
        folds = StratifiedKFold(5, shuffle=True, random_state=given.seed)
        splits = list(folds.split(samples, labels))
        for title, model in models(given.seed).items():
            scores, seconds = [], []
            for learn, judge in splits:
                began = time.perf_counter()
                model.fit(samples[learn], labels[learn])
                seconds.append(time.perf_counter() - began)
                scores.append(100 * model.score(samples[judge], labels[judge]))
            error = statistics.stdev(scores) / len(scores) ** 0.5
            told = f"{statistics.fmean(scores):.2f} ± {error:.2f}"
            print(f"| {name} | {title} | {told} | {statistics.median(seconds):.1f} |", flush=True)


if __name__ == "__main__":
    main()
