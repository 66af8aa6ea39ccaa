# What the end-to-end tests share: the demo's library, a throw-away folder, and a small scan.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=${CUSP_BIN:-$root/build/release/bin}
source "$root/tools/demo/lib.sh"

test_folder=$(mktemp -d "${TMPDIR:-/tmp}/cusp-e2e.XXXXXX")
demo_begin "$test_folder"
trap 'demo_end; rm -rf "$test_folder"' EXIT

expect() {  # expect WHAT ACTUAL WANTED
  [ "$2" = "$3" ] || die "$1: $2, but $3 was expected"
  echo "ok: $1: $2"
}

ticket_state() { ctl --json tickets | jq -r --arg id "$ticket" '.tickets[] | select(.id == $id) | .state'; }
ticket_is() { [ "$(ticket_state)" = "$1" ]; }
records_of_ticket() { store_api /records | jq --arg id "$ticket" '[.records[] | select(.ticket_id == $id)] | length'; }
scanned_frames() { ctl --json status | jq -r '.scan.tracked // 0'; }
frames_reach() { [ "$(scanned_frames)" -ge "$1" ]; }

# Store, scanner and station up, one ticket for the upper jaw in the worklist and claimed.
ready_to_scan() {
  make_keys
  write_store_config
  start_store
  start_scanner --frames 90 --cache "${CUSP_CACHE:-$test_folder/scenes}"
  write_station_config
  start_station
  make_ticket intraoral '["upper"]'
  wait_for station 30 ticket_is created
  ctl claim "$ticket" >/dev/null
  sim show upper >/dev/null
}
