#!/usr/bin/env bash
# SIGTERM ends the station cleanly while it scans; the scan is there as interrupted and goes on.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ready_to_scan
ctl scan start "$ticket" --stage upper >/dev/null
wait_for station 180 frames_reach 10

station=$(pid_of station)
kill -TERM "$station"
status=0
wait "$station" || status=$?
expect "exit status after SIGTERM in the middle of a scan" "$status" 0

start_station
expect "ticket after the restart" "$(ticket_state)" interrupted
before=$(scanned_frames)
[ "$before" -ge 1 ] || die "nothing is left of what was scanned before the stop"
echo "ok: $before frames are left of what was scanned before the stop"
sim show upper >/dev/null
ctl scan resume >/dev/null
wait_for station 180 frames_reach $((before + 30))
sim unplug >/dev/null
wait_for station 60 ticket_is interrupted
expect "ticket after the cable was pulled" "$(ticket_state)" interrupted
sim plug >/dev/null
wait_for station 30 ticket_is scanning
echo "ok: the device came back and its scan goes on by itself"
before=$(scanned_frames)
wait_for station 120 frames_reach $((before + 10))
echo "ok: scanned on after a replug, from frame $before"
ctl scan finish-stage >/dev/null
ctl scan finish >/dev/null
ctl --json outbox --wait-delivered "$ticket" --timeout 120 >/dev/null || die "the parcel did not arrive"
expect "records of the ticket in the store" "$(records_of_ticket)" 1
