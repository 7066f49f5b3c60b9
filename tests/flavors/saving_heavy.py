"""Run by an interpreter with the real MLflow and one heavy library: `saving_heavy.py DIRECTORY NAME...`, as saving.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from saving import BARE  # type: ignore[import-not-found]  # silences warnings first

import mlflow  # isort: skip
import pandas as pd
from data import COLUMNS, NUMBERS, TARGET, TEXTS  # type: ignore[import-not-found]
from mlflow.models import infer_signature

NAMED = infer_signature(NUMBERS)


def pytorch(path: Path) -> None:
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(len(COLUMNS), 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    mlflow.pytorch.save_model(model, path, signature=NAMED, serialization_format="pickle", **BARE)


def tensorflow(path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((len(COLUMNS),)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)])
    tensor = infer_signature(NUMBERS.to_numpy("float32"))  # the flavor takes no columns
    mlflow.tensorflow.save_model(model, path, signature=tensor, **BARE)


def spacy(path: Path) -> None:
    import spacy as library
    from spacy.training import Example

    pipeline = library.blank("en")
    categories = pipeline.add_pipe("textcat")
    for label in ("short", "long"):
        categories.add_label(label)  # type: ignore[attr-defined]
    texts = [(text, {"cats": {"short": float(len(text) < 9), "long": float(len(text) >= 9)}}) for text in TEXTS["text"]]
    pipeline.initialize(lambda: [Example.from_dict(pipeline.make_doc(text), wanted) for text, wanted in texts])
    mlflow.spacy.save_model(pipeline, path, signature=infer_signature(TEXTS), **BARE)


def fastai(path: Path) -> None:
    from fastai.tabular.all import Normalize, TabularDataLoaders, tabular_learner

    frame = NUMBERS.astype("float32").assign(target=TARGET.astype("float32"))
    loaders = TabularDataLoaders.from_df(frame, y_names="target", cont_names=COLUMNS, procs=[Normalize], bs=16, num_workers=0)
    learner = tabular_learner(loaders, layers=[8])
    learner.fit(1)
    mlflow.fastai.save_model(learner, path, signature=NAMED, **BARE)


def h2o(path: Path) -> None:
    import h2o as library
    from h2o.estimators import H2OGradientBoostingEstimator

    library.init(max_mem_size="1G", nthreads=1)
    model = H2OGradientBoostingEstimator(ntrees=5, seed=0)
    model.train(COLUMNS, "target", library.H2OFrame(NUMBERS.assign(target=TARGET)))
    mlflow.h2o.save_model(model, path, signature=NAMED, settings={"nthreads": 1}, **BARE)
    library.cluster().shutdown()


def spark(path: Path) -> None:
    from pyspark.ml import Pipeline
    from pyspark.ml.feature import VectorAssembler
    from pyspark.ml.regression import LinearRegression
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    frame = session.createDataFrame(NUMBERS.assign(target=TARGET))
    stages = [VectorAssembler(inputCols=COLUMNS, outputCol="features"), LinearRegression(labelCol="target")]
    mlflow.spark.save_model(Pipeline(stages=stages).fit(frame), str(path), signature=NAMED, **BARE)
    session.stop()


def prophet(path: Path) -> None:
    from prophet import Prophet

    days = pd.date_range("2025-01-01", periods=len(TARGET))
    model = Prophet(uncertainty_samples=0).fit(pd.DataFrame({"ds": days, "y": TARGET}))
    mlflow.prophet.save_model(model, path, signature=infer_signature(pd.DataFrame({"ds": days})), **BARE)


def transformers(path: Path) -> None:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast, pipeline

    torch.manual_seed(0)
    words = path.with_suffix(".words")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = BertForSequenceClassification(BertConfig(vocab_size=57, **sizes))
    made = pipeline("text-classification", model=model, tokenizer=BertTokenizerFast(vocab_file=str(words)))
    mlflow.transformers.save_model(made, path, signature=infer_signature(TEXTS), task="text-classification", **BARE)


def main() -> None:
    directory = Path(sys.argv[1])
    savers: dict[str, Any] = globals()
    for name in sys.argv[2:]:
        savers[name](directory / name)


if __name__ == "__main__":
    main()
