"""Gives moto's CloudWatch the metrics of `series`, math on them, and alarms that evaluate; the rest of it (protocols, storing alarms) is moto's."""

from __future__ import annotations

import ast
import math
import operator
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.exceptions import InvalidParameterCombination, InvalidParameterValue, ValidationError
from moto.cloudwatch.models import CloudWatchBackend, MetricDatum
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult

from deployer_localstack.aws.cloudwatch.alarms import Condition
from deployer_localstack.aws.cloudwatch.series import AllSeries, Metric, Values, statistic

_EVALUATED_EVERY_SECONDS = 60.0
"""A state that SetAlarmState gave holds until the next evaluation."""

_SHORT_PERIODS = frozenset({10, 20, 30})

_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}

Points = Sequence[float | None]


def install() -> None:
    """Once per process."""
    backend: Any = CloudWatchBackend
    backend.put_metric_data = _put_metric_data
    backend.get_metric_data = _get_metric_data
    backend.get_all_metrics = _get_all_metrics
    backend.put_metric_alarm = _put_metric_alarm(backend.put_metric_alarm)
    backend.set_alarm_state = _set_alarm_state(backend.set_alarm_state)
    response: Any = CloudWatchResponse
    response.get_metric_statistics = _get_metric_statistics


def series_of(backend: Any) -> AllSeries:
    """The metrics that a backend of moto's has; they go when it is reset."""
    found: AllSeries = backend.__dict__.setdefault("_deployer_series", AllSeries())
    return found


def evaluate(backend: Any, names: Sequence[str], time_scale: float) -> None:
    """Bring the states of these alarms up to now; periods count as this fraction of what was asked for."""
    for name in names:
        alarm = backend.alarms.get(name)
        if alarm is None or alarm.rule is not None:
            continue
        if time.time() - getattr(alarm, "_deployer_set_at", 0.0) < _EVALUATED_EVERY_SECONDS * time_scale:
            continue
        if (condition := _condition(alarm)) is None:
            continue
        state, reason = condition.state(_datapoints(backend, alarm, condition.looked_at, time_scale), alarm.state_value)
        if state != alarm.state_value:
            alarm.update_state(reason, "{}", state)


def _condition(alarm: Any) -> Condition | None:
    """None for alarms by bands of anomalies, which stay as they are."""
    if alarm.comparison_operator is None or "Range" in alarm.comparison_operator or alarm.threshold is None:
        return None
    periods = int(alarm.evaluation_periods)
    needed = int(alarm.datapoints_to_alarm or periods)
    return Condition(alarm.comparison_operator, float(alarm.threshold), periods, needed, alarm.treat_missing_data or "missing")


def _datapoints(backend: Any, alarm: Any, count: int, time_scale: float) -> Points:
    """Newest first; periods are counted back from now."""
    queries = alarm.metric_data_queries
    if not queries:
        metric = Metric(alarm.namespace, alarm.metric_name, frozenset((each.name, each.value) for each in alarm.dimensions))
        bounds = _back_from_now(count, float(alarm.period) * time_scale)
        return _points(series_of(backend).periods(metric, bounds), alarm.statistic or alarm.extended_statistic)[::-1]
    period = next((each.metric_stat.period or each.period for each in queries if each.metric_stat), 60)
    bounds = _back_from_now(count, float(period) * time_scale)
    known: dict[str, Points] = {}
    for each in queries:
        if each.metric_stat:
            asked = each.metric_stat.metric
            metric = Metric(asked.namespace, asked.metric_name, frozenset((one.name, one.value) for one in asked.dimensions))
            known[each.id] = _points(series_of(backend).periods(metric, bounds), each.metric_stat.stat)
    for each in queries:
        if each.expression:
            known[each.id] = _calculated(each.expression, known, count)
    watched = next((each.id for each in queries if str(each.return_data).lower() != "false"), queries[-1].id)
    return known[watched][::-1]


def _back_from_now(count: int, period: float) -> list[float]:
    now = time.time()
    return [now - period * back for back in range(count, -1, -1)]


def _put_metric_data(self: Any, namespace: str, metric_data: Sequence[Mapping[str, Any]]) -> None:
    for number, datum in enumerate(metric_data):
        self._validate_parameters_put_metric_data(datum, number + 1)
    for datum in metric_data:
        when = datum["Timestamp"].replace(tzinfo=UTC).timestamp() if datum.get("Timestamp") else time.time()
        series_of(self).add(_metric(namespace, datum), _values(datum), when, datum.get("Unit") or "None")


def _values(datum: Mapping[str, Any]) -> dict[float, float]:
    if values := datum.get("Values"):
        counts = datum.get("Counts") or [1] * len(values)
        together: dict[float, float] = {}
        for value, count in zip(values, counts, strict=True):
            together[float(value)] = together.get(float(value), 0) + float(count)
        return together
    if not (known := datum.get("StatisticValues")):
        return {float(datum.get("Value", 0)): 1}
    # Values of which count, sum, minimum and maximum are those that were told.
    low, high, total, count = (float(known[name]) for name in ("Minimum", "Maximum", "Sum", "SampleCount"))
    if count < 3:
        return {low: 1} if count < 2 else ({low: 1, high: 1} if low != high else {low: 2})
    between = (total - low - high) / (count - 2)
    shared: dict[float, float] = {}
    for value, often in ((low, 1.0), (high, 1.0), (between, count - 2)):
        shared[value] = shared.get(value, 0) + often
    return shared


def _get_metric_statistics(self: Any) -> ActionResult:
    """A response's method: moto's own knows no percentiles, and takes further dimensions for the same metric."""
    metric = _metric(self._get_param("Namespace"), {"MetricName": self._get_param("MetricName"), "Dimensions": self._get_param("Dimensions", [])})
    plain, extended = self._get_param("Statistics") or [], self._get_param("ExtendedStatistics") or []
    if not plain and not extended:
        raise InvalidParameterCombination("Must specify either Statistics or ExtendedStatistics")
    series = series_of(self.cloudwatch_backend)
    bounds = _bounds(self._get_param("StartTime"), self._get_param("EndTime"), int(self._get_param("Period")))
    periods = series.periods(metric, bounds)
    known = {name: _points(periods, name) for name in (*plain, *extended)}
    unit = series.unit(metric)
    found = []
    for number, values in enumerate(periods):
        if values and self._get_param("Unit") in {None, unit}:
            point: dict[str, Any] = {"Timestamp": datetime.fromtimestamp(bounds[number], UTC), "Unit": unit}
            point |= {name: known[name][number] for name in plain}
            found.append(point | ({"ExtendedStatistics": {name: known[name][number] for name in extended}} if extended else {}))
    return ActionResult({"Label": metric.name, "Datapoints": found})


def _get_metric_data(
    self: Any, queries: Sequence[Mapping[str, Any]], start_time: datetime, end_time: datetime, scan_by: str = "TimestampAscending"
) -> list[dict[str, Any]]:
    period = next((int(each["MetricStat"]["Period"]) for each in queries if "MetricStat" in each), 60)
    known: dict[str, Points] = {}
    bounds = {each["Id"]: _bounds(start_time, end_time, int((each.get("MetricStat") or {}).get("Period") or period)) for each in queries}
    for each in queries:
        if asked := each.get("MetricStat"):
            series = series_of(self).periods(_metric(asked["Metric"]["Namespace"], asked["Metric"]), bounds[each["Id"]])
            known[each["Id"]] = _points(series, asked["Stat"])
    for each in queries:
        if expression := each.get("Expression"):
            known[each["Id"]] = _calculated(expression, known, len(bounds[each["Id"]]) - 1)
    results = []
    for each in queries:
        if not each.get("ReturnData", True):
            continue
        found = [(begin, value) for begin, value in zip(bounds[each["Id"]], known[each["Id"]], strict=False) if value is not None]
        ordered = found if scan_by == "TimestampAscending" else found[::-1]
        results.append(
            {
                "id": each["Id"],
                "label": each.get("Label") or (each["MetricStat"]["Metric"]["MetricName"] if "MetricStat" in each else each["Id"]),
                "timestamps": [datetime.fromtimestamp(begin, UTC) for begin, _ in ordered],
                "values": [value for _, value in ordered],
                "status_code": "Complete",
            }
        )
    return results


def _get_all_metrics(self: Any) -> list[MetricDatum]:
    """One datum for each, for ListMetrics."""
    return [
        MetricDatum(each.namespace, each.name, 0.0, [{"Name": name, "Value": value} for name, value in sorted(each.dimensions)], None)
        for each in series_of(self).metrics()
    ]


def _put_metric_alarm(original: Callable[..., Any]) -> Callable[..., Any]:
    """A new alarm knows nothing yet; a changed one keeps its state."""

    def put_metric_alarm(self: Any, **options: Any) -> Any:
        if options.get("rule") is None:
            _refuse_alarm(options)
        before = self.alarms.get(options["name"])
        alarm = original(self, **options)
        alarm.state_value = before.state_value if before else "INSUFFICIENT_DATA"
        return alarm

    return put_metric_alarm


def _refuse_alarm(options: Mapping[str, Any]) -> None:
    if bool(options.get("metric_name")) == bool(options.get("metric_data_queries")):
        raise ValidationError("Either MetricName or Metrics must be specified, and not both")
    period = options.get("period")
    if options.get("metric_name") and (period is None or (int(period) not in _SHORT_PERIODS and (int(period) < 60 or int(period) % 60))):
        raise ValidationError("Metric period must be 10, 20, 30 or a multiple of 60")
    if int(options.get("datapoints_to_alarm") or 1) > int(options["evaluation_periods"]):
        raise ValidationError("DatapointsToAlarm should be less than or equal to EvaluationPeriods")


def _set_alarm_state(original: Callable[..., Any]) -> Callable[..., Any]:
    def set_alarm_state(self: Any, alarm_name: str, *said: Any) -> None:
        original(self, alarm_name, *said)
        self.alarms[alarm_name]._deployer_set_at = time.time()

    return set_alarm_state


def _metric(namespace: str, document: Mapping[str, Any]) -> Metric:
    return Metric(namespace, document["MetricName"], frozenset((each["Name"], each["Value"]) for each in document.get("Dimensions") or ()))


def _bounds(start: datetime, end: datetime, period: int) -> list[float]:
    begin, until = (each.replace(tzinfo=each.tzinfo or UTC).timestamp() for each in (start, end))
    if until <= begin:
        raise InvalidParameterValue("The parameter StartTime must be less than the parameter EndTime.")
    begin -= begin % min(period, 60)
    return [*(begin + period * number for number in range(math.ceil((until - begin) / period))), until]


def _points(periods: Sequence[Values], name: str) -> Points:
    try:
        return [statistic(values, name) for values in periods]
    except ValueError as unknown:
        raise InvalidParameterValue(str(unknown)) from unknown


def _calculated(expression: str, known: Mapping[str, Points], count: int) -> Points:
    """Arithmetic on other queries, and FILL(query, number); a point for which one of them has none has none."""
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except SyntaxError as broken:
        raise ValidationError(f"Error in expression '{expression}': {broken.msg}") from broken
    return [_value(tree, {name: points[number] for name, points in known.items()}, expression) for number in range(count)]


def _value(node: ast.expr, known: Mapping[str, float | None], expression: str) -> float | None:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name) if name in known:
            return known[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = _value(operand, known, expression)
            return None if value is None else -value
        case ast.BinOp(left=left, op=kind, right=right) if type(kind) in _OPERATORS:
            one, other = _value(left, known, expression), _value(right, known, expression)
            if one is None or other is None or (isinstance(kind, ast.Div) and other == 0):
                return None
            return _OPERATORS[type(kind)](one, other)
        case ast.Call(func=ast.Name(id="FILL"), args=[filled, otherwise]):
            value = _value(filled, known, expression)
            return _value(otherwise, known, expression) if value is None else value
    raise ValidationError(f"Error in expression '{expression}': the local cloud knows +, -, *, / and FILL(metric, number) on queries by their id")
