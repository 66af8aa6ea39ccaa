// The journal of a scan: a file from which a scan goes on after a crash, or days later.
//
// "CUSPSCN1", then records: a length (32 bits, little-endian) and that many bytes, sealed
// (record_bytes.h). The first tells the device, its calibration and the options; the others are
// those of scan_log.h, in the order in which they happened. A record is appended whole or, when the
// power goes, cut short: reading ends at the first one that is not whole, and what is before it is
// the scan. Nothing in it tells of a patient. Threads: pure functions. Errors: kCorrupt, when not
// even the first record can be read.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/calibration.h"
#include "core/result.h"
#include "pipeline/reconstruction.h"
#include "pipeline/scan_log.h"

namespace cusp {

struct JournalBegin {
  std::string device_driver{}, device_maker{}, device_model{}, device_serial{}, device_firmware{};
  std::string started_at{};  // RFC 3339
  Calibration calibration{};
  ReconstructionOptions options{};
};

// What a journal begins with, and what is appended for each record.
std::vector<std::uint8_t> journal_head(const JournalBegin& begin);
std::vector<std::uint8_t> journal_bytes(const ScanRecord& record);

struct Journal {
  JournalBegin begin;
  ScanLog log;
  std::uint64_t whole_bytes = 0;  // a journal that is gone on with is cut to this
};
Result<Journal> read_journal(std::span<const std::uint8_t> file);

}  // namespace cusp
