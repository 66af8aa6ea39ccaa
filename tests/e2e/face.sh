#!/usr/bin/env bash
# A face, neutral and smiling, in front of a virtual depth camera: true to the surface and without its hair, which is rough; one
# placed in the other.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=$(mktemp -d "${TMPDIR:-/tmp}/cusp-e2e.XXXXXX")
trap 'rm -rf "$out"' EXIT

"$root/tools/demo/run" --no-stay --face --frames 150 --out "$out"
for stage in face-neutral face-smile; do
  jq -e '.mean_um <= 100 and .p95_um <= 250 and .coverage >= 0.6' "$out"/*/models/$stage.surface.json >/dev/null ||
    { echo "$stage: not true enough: $(cat "$out"/*/models/$stage.surface.json)" >&2; exit 1; }
done
jq -e 'all(.models[]; .lost == 0 and .frames > 0)' "$out"/*/models.json >/dev/null ||
  { echo "frames were lost: $(cat "$out"/*/models.json)" >&2; exit 1; }
jq -e '.models[] | select(.stage == "face-smile") | .placement.into == "face-neutral"' "$out"/*/models.json >/dev/null ||
  { echo "the smile does not lie in the neutral face: $(cat "$out"/*/models.json)" >&2; exit 1; }
