#!/usr/bin/env bash
# A part of an arch through a virtual fringe wand, from its pictures to the store: all that was seen live is in the finished
# model, true to the surface and in its colours.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=$(mktemp -d "${TMPDIR:-/tmp}/cusp-e2e.XXXXXX")
trap 'rm -rf "$out"' EXIT

"$root/tools/demo/run" --no-stay --wand --frames 300 --out "$out"
jq -e '.mean_um <= 15 and .p95_um <= 40' "$out"/*/models/upper.surface.json >/dev/null ||
  { echo "not true enough: $(cat "$out"/*/models/upper.surface.json)" >&2; exit 1; }
jq -e '.models[0] | .lost == 0 and .frames >= 40 and .triangles >= 60000' "$out"/*/models.json >/dev/null ||
  { echo "frames or surface were lost: $(cat "$out"/*/models.json)" >&2; exit 1; }
head -c 1000 "$out"/*/models/upper.ply | grep -a 'property uchar red' >/dev/null ||
  { echo "the model has no colours" >&2; exit 1; }
