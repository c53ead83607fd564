#!/usr/bin/env bash
# Writes pushline's lines to DataKit's own line-protocol endpoint, in batches of up to a second:
exec bash -c 'pushline "$@" | "$0/influxdb.sh" "${DATAKIT_URL:-http://127.0.0.1:9529/v1/write/metric?precision=n}"' \
    "$(dirname "$(readlink -f "$0")")" "$@"
