#include "records/schema.h"

#include <array>

namespace cusp::records {
namespace {

constexpr std::string_view kFirst = R"sql(
CREATE TABLE meta(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  store_epoch TEXT NOT NULL,
  worklist_seq INTEGER NOT NULL) STRICT;

CREATE TABLE patient(
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  patient_ref TEXT NOT NULL UNIQUE,     -- the pseudonym that leaves the store
  name TEXT NOT NULL,
  date_of_birth TEXT NOT NULL,
  gender TEXT NOT NULL,
  mobile TEXT NOT NULL,
  landline TEXT NOT NULL,
  email TEXT NOT NULL,
  id_number TEXT NOT NULL,
  insurance_number TEXT NOT NULL,
  address TEXT NOT NULL,
  note TEXT NOT NULL,
  created_at TEXT NOT NULL) STRICT;

CREATE TABLE ticket(
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  patient_id TEXT REFERENCES patient(id),  -- null: made on a station, not yet filed
  kind TEXT NOT NULL,
  case_type TEXT NOT NULL,
  visit_type TEXT NOT NULL,
  doctor TEXT NOT NULL,
  case_ref TEXT NOT NULL,
  note TEXT NOT NULL,
  teeth_fdi TEXT NOT NULL,              -- "11,12"
  stages TEXT NOT NULL,                 -- "upper,lower"
  status TEXT NOT NULL CHECK (status IN ('open', 'delivered', 'cancelled')),
  revision INTEGER NOT NULL,            -- the newest that was delivered, 1 before
  station_id TEXT NOT NULL,             -- who reported last; empty: nobody
  station_state TEXT NOT NULL,
  worklist_seq INTEGER NOT NULL UNIQUE, -- place of its last change in the worklist
  created_at TEXT NOT NULL) STRICT;

CREATE TABLE record(
  store_seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  title TEXT NOT NULL,
  visiting_time TEXT NOT NULL,
  committed_at TEXT NOT NULL,
  patient_id TEXT REFERENCES patient(id),  -- null: unassigned
  ticket_id TEXT NOT NULL REFERENCES ticket(id),
  revision INTEGER NOT NULL,
  kind TEXT NOT NULL,
  case_type TEXT NOT NULL,
  visit_type TEXT NOT NULL,
  doctor TEXT NOT NULL,
  patient_ref TEXT NOT NULL,
  case_ref TEXT NOT NULL,
  note TEXT NOT NULL,
  teeth_fdi TEXT NOT NULL,
  device_maker TEXT NOT NULL,
  device_model TEXT NOT NULL,
  device_serial TEXT NOT NULL,
  device_firmware TEXT NOT NULL,
  calibration_id TEXT NOT NULL,
  config_sha256 TEXT NOT NULL,
  software_version TEXT NOT NULL,
  started_at TEXT NOT NULL,
  finished_at TEXT NOT NULL,
  station_id TEXT NOT NULL,
  outbox_epoch TEXT NOT NULL,
  outbox_seq INTEGER NOT NULL,
  envelope BLOB NOT NULL,               -- as it came
  envelope_sha256 TEXT NOT NULL,
  UNIQUE (station_id, outbox_epoch, outbox_seq),
  UNIQUE (ticket_id, revision)) STRICT;
CREATE INDEX record_of_patient ON record(patient_id, store_seq);

CREATE TABLE record_stage(
  store_seq INTEGER NOT NULL REFERENCES record(store_seq),
  position INTEGER NOT NULL,
  stage TEXT NOT NULL,
  triangles INTEGER NOT NULL,
  frames INTEGER NOT NULL,
  frames_tracked INTEGER NOT NULL,
  frames_lost INTEGER NOT NULL,
  frames_dropped INTEGER NOT NULL,
  frames_broken INTEGER NOT NULL,
  mean_residual_mm REAL NOT NULL,
  PRIMARY KEY (store_seq, position)) STRICT, WITHOUT ROWID;

CREATE TABLE record_file(
  store_seq INTEGER NOT NULL,
  stage_position INTEGER NOT NULL,
  position INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  media_type TEXT NOT NULL,
  role TEXT NOT NULL,
  file_name TEXT NOT NULL,
  PRIMARY KEY (store_seq, stage_position, position),
  FOREIGN KEY (store_seq, stage_position) REFERENCES record_stage(store_seq, position))
  STRICT, WITHOUT ROWID;
CREATE INDEX file_by_hash ON record_file(sha256);

CREATE TABLE audit(
  n INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  detail TEXT NOT NULL,
  sha256 TEXT NOT NULL) STRICT;         -- of the row before it and of this row
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_is_never_shortened BEFORE DELETE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
)sql";

constexpr std::string_view kQualityAndPlace = R"sql(
ALTER TABLE record_stage ADD COLUMN grade INTEGER CHECK (grade BETWEEN 1 AND 4);  -- null: not graded
ALTER TABLE record_stage ADD COLUMN grade_reasons TEXT NOT NULL DEFAULT '';       -- a line each
ALTER TABLE record_stage ADD COLUMN area_mm2 REAL NOT NULL DEFAULT 0;
ALTER TABLE record_stage ADD COLUMN holes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE record_stage ADD COLUMN largest_hole_mm REAL NOT NULL DEFAULT 0;
ALTER TABLE record_stage ADD COLUMN drift_mm REAL;                                -- null: not known
-- Where it lies in another stage; null: in none, or not known.
ALTER TABLE record_stage ADD COLUMN placed_into TEXT;
ALTER TABLE record_stage ADD COLUMN placement BLOB;  -- 12 doubles, little-endian: rows of 3 x 4, mm
ALTER TABLE record_stage ADD COLUMN placement_residual_mm REAL;
)sql";

constexpr std::string_view kAnatomyAndExpectedError = R"sql(
ALTER TABLE record_stage ADD COLUMN anatomical BLOB;  -- as placement, into the jaw's anatomical frame; null: no whole arch
ALTER TABLE record_stage ADD COLUMN expected_error_mm REAL;  -- null: not known
)sql";

constexpr std::string_view kTwoOutboxes = R"sql(
-- As the station counted; record.revision is higher when another outbox brought the same one before.
ALTER TABLE record ADD COLUMN delivered_revision INTEGER NOT NULL DEFAULT 0;
UPDATE record SET delivered_revision = revision;
CREATE INDEX record_by_delivery ON record(ticket_id, delivered_revision);
-- What was refused because other bytes are there under its key; its files stay at the station.
CREATE TABLE refused_parcel(
  envelope_sha256 TEXT PRIMARY KEY,
  at TEXT NOT NULL,
  station_id TEXT NOT NULL,
  outbox_epoch TEXT NOT NULL,
  outbox_seq INTEGER NOT NULL,
  ticket_id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  record_id TEXT NOT NULL REFERENCES record(id),  -- that stands instead
  envelope BLOB NOT NULL) STRICT;
-- Files that were found damaged or missing, until a station brought them again.
CREATE TABLE damaged_file(sha256 TEXT PRIMARY KEY, at TEXT NOT NULL) STRICT;
-- Who works on a ticket, until when unless it says so again; empty: nobody.
ALTER TABLE ticket ADD COLUMN held_by TEXT NOT NULL DEFAULT '';
ALTER TABLE ticket ADD COLUMN held_since TEXT NOT NULL DEFAULT '';
ALTER TABLE ticket ADD COLUMN held_until TEXT NOT NULL DEFAULT '';
ALTER TABLE meta ADD COLUMN scrub_place TEXT NOT NULL DEFAULT '';  -- the last file that was read again
CREATE INDEX ticket_held ON ticket(held_until) WHERE held_by <> '';
)sql";

constexpr std::array<std::string_view, 4> kSteps{kFirst, kQualityAndPlace, kAnatomyAndExpectedError,
                                                 kTwoOutboxes};

}  // namespace

std::span<const std::string_view> schema_steps() { return kSteps; }

}  // namespace cusp::records
