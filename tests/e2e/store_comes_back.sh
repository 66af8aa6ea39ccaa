#!/usr/bin/env bash
# The store's disk dies after a delivery; its backup is older. Restored, it gets the scan from the station again.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ready_to_scan
end_process "$(pid_of store)"
sed -i "s|^storage:|storage:\n  backup_folder: $test_folder/backup|" "$run/store.yaml"
start_store
epoch() { store_api /status | jq -r .store_epoch; }
backed_up() { [ "$(store_api /status | jq -r .upkeep.last_backup_at)" != null ]; }
before=$(epoch)
store_api /backup -X POST >/dev/null
wait_for store 30 backed_up
echo "ok: backed up while it serves, with $(store_api /status | jq .tickets_open) open ticket"

ctl scan start "$ticket" --stage upper >/dev/null
wait_for station 180 frames_reach 30
ctl scan finish-stage >/dev/null
ctl scan finish >/dev/null
ctl --json outbox --wait-delivered "$ticket" --timeout 180 >/dev/null || die "the parcel did not arrive"
expect "records of the ticket" "$(records_of_ticket)" 1

end_process "$(pid_of store)"
mv "$run/store" "$test_folder/dead-disk"
"$bin/cusp-records" restore --config "$run/store.yaml" --from "$test_folder/backup"
start_store
record_is_back() { [ "$(records_of_ticket)" = 1 ]; }
wait_for store 60 record_is_back
echo "ok: the station brought the scan again"
[ "$(epoch)" != "$before" ] || die "the restored store says that it is the same"
expect "its patient" "$(store_api /records | jq -r '.records[0].patient.name')" "Ada Quick"
ctl --json outbox --wait-delivered "$ticket" --timeout 60 >/dev/null || die "the outbox still waits"

# Numbers for whoever watches, with the token alone and without names.
metrics() { curl -sS -H @<(printf 'Authorization: Bearer %s\n' "$1") "http://127.0.0.1:$http_port/metrics"; }
metrics "$(head -n 1 "$run/keys/store.token")" >"$test_folder/metrics"
grep -q '^cusp_parcels_committed_total 1$' "$test_folder/metrics" || die "the metrics do not count the parcel"
if grep -qi "quick" "$test_folder/metrics"; then die "a name is in the metrics"; fi
[ "$(metrics wrong | grep -c '^cusp_')" = 0 ] || die "metrics are served without the token"
echo "ok: metrics"
