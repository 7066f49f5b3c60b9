"""What the pages take for granted, made by the real MLflow in a folder: a registry with four versions of `churn`, a model, data to score."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

folder = Path(sys.argv[1])
flowers, kinds = load_iris(return_X_y=True, as_frame=True)
how = {
    "signature": mlflow.models.infer_signature(flowers, kinds),
    # Named, since MLflow finds them by loading the model in another process.
    "pip_requirements": [f"{name}=={version(name)}" for name in ("mlflow", "scikit-learn", "skops", "pandas", "numpy", "scipy")],
}
mlflow.set_experiment(experiment_id=mlflow.create_experiment("churn", artifact_location=(folder / "artifacts").as_uri()))
for strength in (1.0, 2.0, 3.0, 4.0):
    classifier = LogisticRegression(max_iter=500, C=strength).fit(flowers, kinds)
    with mlflow.start_run():
        mlflow.sklearn.log_model(classifier, name="model", registered_model_name="churn", **how)
mlflow.sklearn.save_model(classifier, folder / "model", **how)
two = flowers.iloc[[0, 140]]
(folder / "example.json").write_text(json.dumps({"dataframe_split": {"columns": list(two.columns), "data": two.to_numpy().tolist()}}))
flowers.to_parquet(folder / "customers.parquet")
flowers.head(3).to_json(folder / "customers.json")
flowers.to_csv(folder / "customers.csv", index=False)
