#!/usr/bin/env bash
# The store is away during the scan, the station is killed between "saved" and the receipt: the scan arrives, once.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ready_to_scan
end_process "$(pid_of store)"
echo "store is off"

wait_for station 10 ticket_is claimed
ctl scan start "$ticket" --stage upper >/dev/null
wait_for station 180 frames_reach 30
ctl scan finish-stage >/dev/null
ctl scan finish >/dev/null
wait_for station 120 ticket_is ready
expect "ticket while the store is off" "$(ticket_state)" ready

kill -KILL "$(pid_of station)"
wait "$(pid_of station)" 2>/dev/null || true
echo "station was killed after \"saved\""

start_station
state=$(ticket_state)
expect "ticket after the restart" "$state" ready
start_store
ctl --json outbox --wait-delivered "$ticket" --timeout 90 >/dev/null || die "the parcel did not arrive"
expect "records of the ticket in the store" "$(records_of_ticket)" 1

# Killed again after the receipt: nothing is sent twice.
kill -KILL "$(pid_of station)"
wait "$(pid_of station)" 2>/dev/null || true
start_station
ctl --json outbox --wait-delivered "$ticket" --timeout 30 >/dev/null || die "the receipt was forgotten"
expect "ticket after the second restart" "$(ticket_state)" delivered
expect "records of the ticket after the second restart" "$(records_of_ticket)" 1

# Nothing that the station wrote down knows the patient's name, but the worklist that the operator reads.
if grep -rqa "Ada Quick" "$run/station/outbox" "$run/log"; then die "the patient's name is in the outbox or a log"; fi
echo "ok: no name in the outbox and the logs"
