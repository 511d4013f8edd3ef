"""Decodes an exposition with Prometheus' own parser, which is strict, and prints it as JSON:
{name of the sample: [[labels, value], ...]}. Usage: openmetrics.py FILE"""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

samples = {}
with open(sys.argv[1], encoding="utf-8") as file:
    for family in text_string_to_metric_families(file.read()):
        if not family.documentation:
            sys.exit(f"{family.name} has no HELP")
        if family.type == "unknown":
            sys.exit(f"{family.name} has no TYPE")
        for sample in family.samples:
            samples.setdefault(sample.name, []).append([sample.labels, sample.value])
json.dump(samples, sys.stdout)
