// JSON of the store's API: bodies of requests, read strictly, and answers. API.md describes both.
// Inside records/ only. Threads: pure functions.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "records/values.h"

namespace cusp::records {

using Json = nlohmann::ordered_json;

// {"name": ...}: unknown fields, wrong types and missing texts are kInvalidArgument; the sentence
// begins with the field. Contents (dates, lengths, FDI numbers) are the store's to judge.
Result<Patient> read_patient(const std::string& body);

struct TicketBody {
  std::string patient_id;
  ScanTicket order;
};
Result<TicketBody> read_ticket(const std::string& body);

// limit and before of a list; `known` names the further parameters that the path takes.
Result<PageRequest> read_page(const std::map<std::string, std::string>& query,
                              std::initializer_list<std::string_view> known = {});

Json to_json(const Patient& patient);
Json to_json(const Ticket& ticket);
// A record in a list, and opened: with stages, device and receipt.
Json summary_json(const Record& record);
Json detail_json(const Record& record);

// Text that is not UTF-8 can't be in the store; if it were, it would not break the answer.
std::string dump(const Json& json);

}  // namespace cusp::records
