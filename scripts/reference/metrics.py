"""The numbers of `the_metrics_of_the_library_are_those_of_scikit_learn` in tests/measures.rs.

By scikit-learn's definitions, written out, so that nothing but Python is needed; where scikit-learn is installed it is asked as well.
"""

ROWS = [
    (0.5, 1, 2, (0.1, 0.3, 0.2)),
    (-0.5, 1, 0, (0.9, 0.3, 0.2)),
    (0.5, 0, 1, (0.1, 0.3, 0.4)),
    (1.5, 1, 1, (0.4, 0.8, 0.1)),
    (-1.0, 0, 2, (0.2, 0.2, 0.7)),
    (-0.5, 0, 0, (0.6, 0.1, 0.3)),
    (2.0, 1, 0, (0.5, 0.4, 0.9)),
]


def main():
    p, t = [row[0] for row in ROWS], [row[1] for row in ROWS]
    c = [row[2] for row in ROWS]
    taken = [max(range(3), key=lambda i: (row[3][i], -i)) for row in ROWS]
    n = len(ROWS)
    hits = sum(a > 0 and b == 1 for a, b in zip(p, t))
    precision, recall = hits / sum(a > 0 for a in p), hits / sum(t)
    wins = [(a > b) + 0.5 * (a == b) for a, i in zip(p, t) if i for b, j in zip(p, t) if not j]
    mean = sum(t) / n
    squares = sum((b - a) ** 2 for a, b in zip(p, t))
    confusion = [[sum(a == i and b == j for a, b in zip(c, taken)) for j in range(3)] for i in range(3)]
    print("precision", precision)
    print("recall", recall)
    print("f1", 2 * precision * recall / (precision + recall))
    print("auc", sum(wins) / len(wins))
    print("r2", 1 - squares / sum((b - mean) ** 2 for b in t))
    print("accuracy", sum(a == b for a, b in zip(c, taken)) / n)
    print("mae", sum(abs(a - b) for a, b in zip(p, t)) / n)
    print("rmse", (squares / n) ** 0.5)
    print("max_error", max(abs(a - b) for a, b in zip(p, t)))
    print("confusion", confusion)
    try:
        from sklearn import metrics
    except ImportError:
        return
    sign = [int(a > 0) for a in p]
    print("scikit-learn:", metrics.precision_score(t, sign), metrics.recall_score(t, sign), metrics.f1_score(t, sign))
    print("scikit-learn:", metrics.roc_auc_score(t, p), metrics.r2_score(t, p), metrics.accuracy_score(c, taken))
    print("scikit-learn:", metrics.confusion_matrix(c, taken).tolist())


main()
