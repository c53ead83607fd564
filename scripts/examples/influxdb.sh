#!/usr/bin/env bash
# Writes the lines on standard input to InfluxDB 1.x, in batches of up to 5,000 lines or one second:
#   pushline --config pushline.toml | scripts/examples/influxdb.sh 'http://127.0.0.1:8086/write?db=metrics'
# A database that is away is waited for; one that refuses a batch ends the pipe, so that the supervisor tells.
set -uo pipefail

url=$1
batch='' count=0 partial=''

flush() {
    [ "$count" -gt 0 ] || return 0
    local answer
    while true; do
        answer=$(printf '%s' "$batch" | curl -sS -w '\n%{http_code}' --data-binary @- "$url")
        case ${answer##*$'\n'} in
            2??) break ;;
            4??) echo "InfluxDB refused a batch: $answer" >&2; exit 1 ;;
            *) sleep 1 ;;
        esac
    done
    batch='' count=0
}

while true; do
    if IFS= read -r -t 1 line; then
        batch+=$partial$line$'\n' partial='' count=$((count + 1))
        [ "$count" -lt 5000 ] || flush
    elif [ $? -gt 128 ]; then
        # A second without a line; a part of one may have come.
        partial+=$line
        flush
    else
        flush
        exit 0
    fi
done
