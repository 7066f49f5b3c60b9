"""Models as functions on Spark's columns: `spark_udf`.

Spark runs a Python worker per core. They don't load the model: the first of them on an executor starts one model process, the others
find its socket. The model process forks itself for each worker, so that all of them share the pages of one loaded model.

    udf            `spark_udf`, on the driver
    shipping       what executors need and don't have: this package, the model's directory
    result_types   result types, apart from pyspark, which the model process may not have
    workers        the function that runs in Spark's Python workers
    client         a worker's connection to its executor's model process, which it starts where none is
    environments   the model's own Python environment, made on the executor
    process        the model process
    answering      one connection of the model process: batches in, predictions out
    columns        a UDF's arguments as the frame that a model takes
    predictions    what a model returned, as the result type wants it (MLflow's rules)
    batches        the columns of a batch as Arrow, and back
    frames         messages on a socket
    preload        lets Spark's own Python workers share the pages of numpy, pandas and pyarrow, too
"""
