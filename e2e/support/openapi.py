"""Reads an OpenAPI document and exchanges with the program (JSON on stdin), and says what does not fit.

Each exchange has path (the document's), method, status, type, and body; a request's body too where it was a right one.
"""

import json
import sys

from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

document = json.load(open(sys.argv[1], encoding="utf-8"))
validate(document)
wrong = []


def check(schema, value, where):
    whole = {"components": document["components"], **schema}
    for error in OAS31Validator(whole).iter_errors(value):
        wrong.append(f"{where}: {error.message} at {list(error.absolute_path)}")


for exchange in json.load(sys.stdin):
    where = "{method} {path} {status}".format(**exchange)
    operation = document["paths"].get(exchange["path"], {}).get(exchange["method"])
    response = (operation or {}).get("responses", {}).get(str(exchange["status"]))
    if response is None:
        wrong.append(f"{where}: not in the document")
        continue
    content = response["content"].get(exchange["type"])
    if content is None:
        wrong.append(f"{where}: {exchange['type']} is not in the document")
        continue
    check(content["schema"], exchange["body"], where)
    if "sent" in exchange:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        fits = OAS31Validator({"components": document["components"], **schema}).is_valid(exchange["sent"])
        if fits != (exchange["status"] == 200):
            wrong.append(f"{where}: by the document {json.dumps(exchange['sent'])} is {'right' if fits else 'wrong'}")
for line in wrong:
    print(line)
sys.exit(1 if wrong else 0)
