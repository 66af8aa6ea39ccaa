#include "records/api.h"

#include <nlohmann/json.hpp>

#include "tests/records/store_fixture.h"

namespace cusp::records {
namespace {

using Json = nlohmann::json;

class Api : public StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    router_ = make_router(*store_, files_, {"Clinic", folder_, folder_ / "web", {}});
  }

  http::Response get(const std::string& path, std::map<std::string, std::string> query = {}) {
    http::Request request;
    request.method = "GET";
    request.path = "/api/v1" + path;
    request.query = std::move(query);
    return router_.route(std::move(request));
  }
  http::Response post(const std::string& path, const std::string& body,
                      const std::string& type = "application/json") {
    http::Request request;
    request.method = "POST";
    request.path = "/api/v1" + path;
    request.headers["content-type"] = type;
    request.body = body;
    return router_.route(std::move(request));
  }
  // The problem's sentence.
  std::string refused(const std::string& path, const std::string& body) {
    const auto response = post(path, body);
    EXPECT_EQ(response.status, 400u) << body;
    EXPECT_EQ(response.content_type, "application/problem+json");
    return Json::parse(response.body).value("detail", "");
  }
  std::string patient_id() {
    return Json::parse(
        post("/patients", R"({"name": "Ada Quick", "date_of_birth": "1990-12-10"})").body)["id"];
  }

  PosixFileSystem files_;
  http::Router router_;
};

TEST_F(Api, MakesAndShowsAPatient) {
  const auto made =
      post("/patients", R"({"name": "Åsa", "date_of_birth": "1990-12-10", "gender": "female",
      "mobile": "+46 1", "email": "a@b.example", "note": "two\nlines"})");
  ASSERT_EQ(made.status, 201u);
  const auto patient = Json::parse(made.body);
  const std::string id = patient["id"];
  EXPECT_EQ(made.headers.at("Location"), "/api/v1/patients/" + id);
  EXPECT_EQ(Json::parse(get("/patients/" + id).body), patient);
  EXPECT_EQ(patient["gender"], "female");
  EXPECT_EQ(patient["note"], "two\nlines");
  EXPECT_EQ(Json::parse(get("/patients").body)["patients"][0]["name"], "Åsa");
  EXPECT_EQ(get("/patients/" + new_uuid()).status, 404u);
}

TEST_F(Api, NamesTheFieldOfAPatientThatIsWrong) {
  EXPECT_EQ(refused("/patients", "{}"), "name is missing");
  EXPECT_EQ(refused("/patients", R"({"name": 7})"), "name must be text");
  EXPECT_EQ(refused("/patients", R"({"name": null, "date_of_birth": "1990-12-10"})"),
            "name must be text");
  EXPECT_EQ(refused("/patients", R"({"name": "A", "date_of_birth": "soon"})"),
            "date_of_birth must be a date such as 1990-12-31");
  EXPECT_EQ(refused("/patients", R"({"name": "A", "date_of_birth": "1990-12-10", "gender": "f"})"),
            "gender must be female, male, other or unknown");
  EXPECT_NE(refused("/patients", R"({"name": "A", "brith": "1990-12-10"})")
                .find("brith is not a known field"),
            std::string::npos);
  EXPECT_NE(refused("/patients", R"({"id": "x"})").find("id is not a known field"),
            std::string::npos);
}

TEST_F(Api, SurvivesHostileBodies) {
  for (const std::string& body :
       {std::string(), std::string("nonsense"), std::string("[]"), std::string("\"text\""),
        std::string("{"), std::string(60'000, '['), std::string("{\"name\": \"\xff\xfe\"}"),
        std::string("{\"name\": \"a\0b\"}", 14),
        std::string(R"({"name": "A\u0000B", "date_of_birth": "1990-12-10"})"),
        std::string(R"({"name": "\ud800", "date_of_birth": "1990-12-10"})"),
        "{\"name\": \"" + std::string(50'000, 'x') + "\", \"date_of_birth\": \"1990-12-10\"}"})
    EXPECT_EQ(post("/patients", body).status, 400u) << body.substr(0, 40);
  EXPECT_EQ(Json::parse(get("/patients").body)["patients"].size(), 0u);
}

TEST_F(Api, TakesJsonAlone) {
  EXPECT_EQ(
      post("/patients", R"({"name": "A", "date_of_birth": "1990-12-10"})", "text/plain").status,
      415u);
  EXPECT_EQ(post("/patients", R"({"name": "A", "date_of_birth": "1990-12-10"})",
                 "application/json; charset=utf-8")
                .status,
            201u);
}

TEST_F(Api, MakesShowsAndCancelsATicket) {
  const auto made =
      post("/tickets", R"({"patient_id": ")" + patient_id() + R"(", "kind": "intraoral",
      "case_type": "crown", "visit_type": "first visit", "doctor": "Dr. Q", "teeth_fdi": [11, 46],
      "stages": ["upper", "bite-left"], "note": "mind the gag reflex"})");
  ASSERT_EQ(made.status, 201u) << made.body;
  const auto ticket = Json::parse(made.body);
  EXPECT_EQ(ticket["status"], "open");
  EXPECT_EQ(ticket["patient"]["name"], "Ada Quick");
  EXPECT_EQ(ticket["stages"], Json({"upper", "bite-left"}));
  EXPECT_EQ(ticket["teeth_fdi"], Json({11, 46}));
  EXPECT_TRUE(ticket["station_state"].is_null());
  const std::string id = ticket["id"];
  EXPECT_EQ(Json::parse(get("/tickets/" + id).body), ticket);

  http::Request cancel;
  cancel.method = "DELETE";
  cancel.path = "/api/v1/tickets/" + id;
  EXPECT_EQ(Json::parse(router_.route(cancel).body)["status"], "cancelled");
  EXPECT_EQ(router_.route(cancel).status, 409u);
  EXPECT_EQ(Json::parse(get("/tickets", {{"status", "open"}}).body)["tickets"].size(), 0u);
  EXPECT_EQ(Json::parse(get("/tickets").body)["tickets"].size(), 1u);
  EXPECT_EQ(get("/tickets", {{"status", "lost"}}).status, 400u);
}

TEST_F(Api, NamesTheFieldOfATicketThatIsWrong) {
  const auto with = [id = patient_id()](const std::string& rest) {
    return R"({"patient_id": ")" + id + R"(", "kind": "intraoral", "doctor": "D")" + rest + "}";
  };
  EXPECT_EQ(post("/tickets", with("")).status, 201u);
  EXPECT_EQ(refused("/tickets", R"({"kind": "intraoral"})"), "patient_id is missing");
  EXPECT_EQ(refused("/tickets", R"({"patient_id": "x"})"), "kind must be intraoral or face");
  EXPECT_EQ(refused("/tickets", R"({"patient_id": "x", "kind": "face", "doctor": "D"})"),
            "patient_id: there is no patient ?");
  EXPECT_EQ(refused("/tickets", with(R"(, "stages": ["tongue"])")),
            "stages holds an unknown stage \"tongue\"");
  EXPECT_EQ(refused("/tickets", with(R"(, "stages": "upper")")), "stages must be a list of texts");
  EXPECT_EQ(refused("/tickets", with(R"(, "teeth_fdi": [1.5])")),
            "teeth_fdi must be a list of whole numbers");
  EXPECT_EQ(refused("/tickets", with(R"(, "teeth_fdi": [99999999999])")),
            "teeth_fdi must hold FDI tooth numbers (11 to 85)");
  EXPECT_NE(refused("/tickets", with(R"(, "teeth_fdi": [19])")).find("FDI"), std::string::npos);
  EXPECT_NE(refused("/tickets", with(R"(, "stages": ["face-smile"])")).find("stage face-smile"),
            std::string::npos);
  EXPECT_NE(refused("/tickets", with(R"(, "docter": "D")")).find("docter is not a known field"),
            std::string::npos);
}

class ApiRecord : public Api {
 protected:
  void SetUp() override {
    Api::SetUp();
    patient_ = add_patient();
    auto parcel = parcel_of(add_ticket(patient_).order);
    parcel.stages[0].blobs.push_back(
        {delivery::sha256_hex(std::string_view("evil")), 4, "text/html", "model", "e\"vil;.html"});
    ASSERT_TRUE(commit(parcel).ok());
    id_ = records()[0].id;
    sha256_ = parcel.stages[0].blobs[0].sha256;
    evil_ = parcel.stages[0].blobs[2].sha256;
  }
  Patient patient_;
  std::string id_, sha256_, evil_;
};

TEST_F(ApiRecord, IsListedWithItsPatient) {
  const auto list = Json::parse(get("/records").body);
  ASSERT_EQ(list["records"].size(), 1u);
  const auto& record = list["records"][0];
  EXPECT_EQ(record["patient"]["name"], patient_.name);
  EXPECT_EQ(record["patient"]["date_of_birth"], "1990-12-10");
  EXPECT_EQ(record["stages"], Json({"upper", "lower"}));
  EXPECT_EQ(record["triangles"], 210'000);
  EXPECT_EQ(record["has_thumbnail"], true);
  EXPECT_TRUE(list["next"].is_null());
}

TEST_F(ApiRecord, ShowsItsStagesDeviceAndReceipt) {
  const auto record = Json::parse(get("/records/" + id_).body);
  EXPECT_EQ(record["stages"][0]["frames_lost"], 6);
  EXPECT_EQ(record["stages"][0]["files"][0]["file_name"], "upper.stl");
  EXPECT_EQ(record["stages"][0]["files"][0]["url"], "/api/v1/records/" + id_ + "/files/" + sha256_);
  EXPECT_EQ(record["device"]["serial"], "wand-0012");
  EXPECT_EQ(record["receipt"]["outbox_seq"], 1);
  EXPECT_EQ(get("/records/" + new_uuid()).status, 404u);
}

TEST_F(ApiRecord, IsPaged) {
  for (int i = 2; i < 5; ++i)
    ASSERT_TRUE(commit(parcel_of(add_ticket(patient_).order, static_cast<std::uint64_t>(i))).ok());
  const auto first = Json::parse(get("/records", {{"limit", "3"}}).body);
  EXPECT_EQ(first["records"].size(), 3u);
  const auto next = std::to_string(first["next"].get<std::uint64_t>());
  const auto second = Json::parse(get("/records", {{"limit", "3"}, {"before", next}}).body);
  ASSERT_EQ(second["records"].size(), 1u);
  EXPECT_EQ(second["records"][0]["id"], id_);
  EXPECT_TRUE(second["next"].is_null());
  for (const auto& [name, value] : std::map<std::string, std::string>{
           {"limit", "0"}, {"limit ", "3"}, {"before", "-1"}, {"before", ""}, {"order", "name"}})
    EXPECT_EQ(get("/records", {{name, value}}).status, 400u) << name << value;
  EXPECT_EQ(get("/records", {{"limit", "201"}}).status, 400u);
}

TEST_F(ApiRecord, GivesItsOwnFilesAlone) {
  const auto file = get("/records/" + id_ + "/files/" + sha256_);
  EXPECT_EQ(file.status, 200u);
  EXPECT_EQ(file.content_type, "model/stl");
  EXPECT_EQ(file.headers.at("Content-Disposition"), "attachment; filename*=UTF-8''upper.stl");
  EXPECT_FALSE(file.headers.contains("Cache-Control")) << "no-store is the server's own word";
  EXPECT_FALSE(file.headers.contains("ETag"));
  EXPECT_EQ(*file.file, delivery::cas_path(folder_, sha256_));
  const auto foreign = delivery::sha256_hex(std::string_view("of another record"));
  for (const std::string& other :
       {foreign, std::string(".."), std::string("upper.stl"), sha256_ + "0"})
    EXPECT_EQ(get("/records/" + id_ + "/files/" + other).status, 404u);
  EXPECT_EQ(get("/records/" + new_uuid() + "/files/" + sha256_).status, 404u);
}

TEST_F(ApiRecord, LetsNoStationChooseWhatTheBrowserRuns) {
  const auto file = get("/records/" + id_ + "/files/" + evil_);
  EXPECT_EQ(file.content_type, "application/octet-stream");
  EXPECT_EQ(file.headers.at("Content-Disposition"), "attachment; filename*=UTF-8''e%22vil%3B.html");
}

TEST_F(ApiRecord, HasAThumbnail) {
  const auto picture = get("/records/" + id_ + "/thumbnail");
  EXPECT_EQ(picture.content_type, "image/png");
  auto plain = parcel_of(add_ticket(patient_).order, 2);
  plain.stages[0].blobs.pop_back();
  ASSERT_TRUE(commit(plain).ok());
  EXPECT_EQ(get("/records/" + records()[0].id + "/thumbnail").status, 404u);
}

TEST_F(ApiRecord, CountsInTheStatus) {
  const auto status = Json::parse(get("/status").body);
  EXPECT_EQ(status["clinic_name"], "Clinic");
  EXPECT_EQ(status["records"], 1);
  EXPECT_EQ(status["store_epoch"], store_->store_epoch());
  EXPECT_GT(status["free_bytes"].get<std::uint64_t>(), 0u);
}

TEST_F(ApiRecord, SaysInAnEventWhatChanged) {
  const auto event = Json::parse(event_json({StoreChange::Kind::kRecordAdded, id_}));
  EXPECT_EQ(event["type"], "record-added");
  EXPECT_EQ(event["id"], id_);
}

TEST_F(Api, MetricsAreNumbersAlone) {
  router_ = make_router(*store_, files_, {"Clinic", folder_, folder_ / "web", [] {
                                            delivery::GateCounts counts;
                                            counts.commits = 3;
                                            counts.feed_lag = 7;
                                            return counts;
                                          }});
  add_patient("Åsa Ödegård");
  http::Request request;
  request.method = "GET";
  request.path = "/metrics";
  const auto metrics = router_.route(request);
  EXPECT_EQ(metrics.status, 200u);
  EXPECT_NE(metrics.body.find("\ncusp_parcels_committed_total 3\n"), std::string::npos);
  EXPECT_NE(metrics.body.find("\ncusp_feed_lag_events 7\n"), std::string::npos);
  EXPECT_NE(metrics.body.find("\ncusp_fsync_seconds_count "), std::string::npos);
  EXPECT_EQ(metrics.body.find("Ödegård"), std::string::npos);
}

}  // namespace
}  // namespace cusp::records
