# Shell library of the demo and the end-to-end tests: a store, a virtual scanner and a station on this machine.
#
# The caller sets `bin` and `root`, then calls demo_begin FOLDER. Everything lives in FOLDER but the sockets, whose paths
# must be short. On any exit all processes are ended, in reverse order of start.

demo_begin() {
  run=$1
  rt=$(mktemp -d "${TMPDIR:-/tmp}/cusp.XXXXXX")
  mkdir -p "$run"/{store,station,keys,models,log} "$rt"/{sim,station}
  pids=()
  names=()
  trap demo_end EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

demo_end() {
  trap - EXIT INT TERM
  local i
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    end_process "${pids[i]}"
  done
  rm -rf "$rt"
}

# Asks the process to leave; puts it out when it is still there after five seconds.
end_process() {
  kill -TERM "$1" 2>/dev/null || return 0
  local tries
  for ((tries = 0; tries < 50; tries++)); do
    kill -0 "$1" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

die() {
  echo "${0##*/}: $*" >&2
  local log
  for log in "$run"/log/*.log; do
    [ -s "$log" ] && printf -- '--- last lines of %s\n' "$log" >&2 && tail -n 8 "$log" >&2
  done
  exit 1
}

# start NAME COMMAND...: in the background, its words in log/NAME.log; its number in pid_of NAME.
start() {
  local name=$1
  shift
  "$@" >>"$run/log/$name.log" 2>&1 </dev/null &
  pids+=($!)
  names+=("$name")
}

# The newest process of that name.
pid_of() {
  local i
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    [ "${names[i]}" = "$1" ] && echo "${pids[i]}" && return
  done
}

# wait_for NAME SECONDS COMMAND...: until the command succeeds; process NAME must live meanwhile.
wait_for() {
  local name=$1 tries=$(($2 * 10)) i
  shift 2
  for ((i = 0; i < tries; i++)); do
    "$@" >/dev/null 2>&1 && return 0
    kill -0 "$(pid_of "$name")" 2>/dev/null || die "$name ended early"
    sleep 0.1
  done
  die "$name: waited in vain for: $*"
}

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

# --- the store ---

make_keys() {
  "$bin/cusp-records" keygen --out "$run/keys/store" >/dev/null
  "$bin/cusp-records" keygen --out "$run/keys/station" >/dev/null
}

write_store_config() {
  http_port=$(free_port)
  ingest_port=$(free_port)
  feed_port=$(free_port)
  cat >"$run/store.yaml" <<EOF
clinic:
  name: Quickstart clinic
storage:
  data_folder: $run/store
  min_free_mib: 64
web:
  folder: $root/web/dist
  http_port: $http_port
  token_file: $run/keys/store.token
ingest:
  endpoint: tcp://127.0.0.1:$ingest_port
  key_stem: $run/keys/store
  stations_file: $run/keys/stations
feed:
  endpoint: tcp://127.0.0.1:$feed_port
EOF
  "$bin/cusp-records" enroll --config "$run/store.yaml" --station quickstart-station \
    --public-key "$run/keys/station.public" >/dev/null
}

start_store() {
  start store "$bin/cusp-records" --config "$run/store.yaml"
  wait_for store 20 store_api /status
}

# store_api PATH [curl options]: the token goes to curl through a descriptor, not through its arguments, which
# everyone on the machine can read.
store_api() {
  local path=$1
  shift
  curl -sS --fail-with-body -H @<(printf 'Authorization: Bearer %s\n' "$(head -n 1 "$run/keys/store.token")") \
    -H 'Content-Type: application/json' "$@" "http://127.0.0.1:$http_port/api/v1$path"
}

# make_ticket KIND STAGES-AS-JSON: sets `ticket`.
make_ticket() {
  local patient
  patient=$(store_api /patients -d '{"name": "Ada Quick", "date_of_birth": "1990-12-10", "gender": "female"}' |
    jq -r .id) || die "the store refused the patient"
  ticket=$(store_api /tickets -d '{"patient_id": "'"$patient"'", "kind": "'"$1"'", "case_type": "aligner",
    "visit_type": "first visit", "doctor": "Dr. Quickstart", "stages": '"$2"'}' | jq -r .id) ||
    die "the store refused the ticket"
}

# --- the virtual scanner ---

# start_scanner cusp-sim's options...
start_scanner() {
  start scanner "$bin/cusp-sim" usb --run-folder "$rt/sim" "$@"
  wait_for scanner 240 test -s "$rt/sim/umockdev-dir"
}

sim() { "$bin/cusp-sim" "$@" --run-folder "$rt/sim"; }
path_is_done() { sim progress --json | jq -e .done; }

# --- the station ---

write_station_config() {
  cat >"$run/station.yaml" <<EOF
station:
  id: quickstart-station
  data_folder: $run/station
  reserve_mib: 256
control:
  socket: $rt/station/control.sock
store:
  endpoint: tcp://127.0.0.1:$ingest_port
  key_stem: $run/keys/station
  public_key: $run/keys/store.public
EOF
}

start_station() {
  start station env LD_PRELOAD=libumockdev-preload.so.0 UMOCKDEV_DIR="$(cat "$rt/sim/umockdev-dir")" \
    "$bin/cuspd" --config "$run/station.yaml"
  wait_for station 20 ctl status
  wait_for station 20 has_device
}

ctl() { "$bin/cuspctl" --socket "$rt/station/control.sock" "$@"; }
has_device() { ctl --json devices | jq -e '.devices | length > 0'; }

progress_line() {
  ctl --json status | jq -r '.scan // {} | "frames \(.frames // 0)  \(.fps // 0 | floor) fps  tracked \(.tracked // 0)  lost \(.lost // 0)  dropped \(.dropped // 0)  triangles \(.triangles // 0)"'
}
