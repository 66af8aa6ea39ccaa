// The rows of patients. Inside records/ only. Threads: the store's lock is held.
#pragma once

#include "delivery/sqlite.h"
#include "records/values.h"

namespace cusp::records {

Result<void> insert_patient(delivery::Database& database, const Patient& patient);
Result<std::optional<Patient>> patient_by_id(delivery::Database& database, const std::string& id);
Result<std::optional<Patient>> patient_by_ref(delivery::Database& database,
                                              const std::string& patient_ref);
Result<Page<Patient>> patient_page(delivery::Database& database, const PageRequest& request);

}  // namespace cusp::records
