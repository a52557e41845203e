#!/bin/sh
# A gateway of one's own, with curl: every file that is put into a folder becomes an event, and goes when that is on disk.
# The port comes from TRANSFORMER_PORT, the folder from FOLDER.
while sleep 0.2; do
  for file in "$FOLDER"/*; do
    [ -f "$file" ] || continue
    payload=$(base64 < "$file" | tr -d '\n')
    curl -sSf --retry 3 --retry-connrefused -H 'Content-Type: application/json' \
      -d "{\"src\": \"$(basename "$file")\", \"payload\": \"$payload\"}" "http://127.0.0.1:$TRANSFORMER_PORT/" >/dev/null && rm "$file"
  done
done
