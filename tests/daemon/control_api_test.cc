// The control API through its router: shapes of answers, and what malformed requests get.
#include "daemon/control_api.h"

#include <nlohmann/json.hpp>

#include "daemon/api_json.h"
#include "tests/daemon/station_fixture.h"

namespace cusp::daemon {
namespace {

using nlohmann::json;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class ControlApi : public StationFixture {
 protected:
  void SetUp() override {
    StationFixture::SetUp();
    start_station();
    router_ = make_control_router(*station_);
  }

  http::Response call(const std::string& method, const std::string& path,
                      const std::string& body = "") {
    http::Request request;
    request.method = method;
    request.path = path.substr(0, path.find('?'));
    if (const auto query = path.find('?'); query != std::string::npos) {
      const std::string pair = path.substr(query + 1);
      request.query[pair.substr(0, pair.find('='))] = pair.substr(pair.find('=') + 1);
    }
    request.body = body;
    http::Response response = router_.route(std::move(request));
    if (!response.later) return response;
    std::optional<http::Response> answer;
    response.later([&](http::Response later) { answer = std::move(later); });
    EXPECT_TRUE(eventually([&] { return answer.has_value(); }));
    return answer.value_or(http::Response{});
  }
  json get(const std::string& path) {
    const auto response = call("GET", path);
    EXPECT_EQ(response.status, 200u) << path << ": " << response.body;
    return json::parse(response.body);
  }
  json post(const std::string& path, const std::string& body = "{}", unsigned status = 200) {
    const auto response = call("POST", path, body);
    EXPECT_EQ(response.status, status) << path << ": " << response.body;
    return json::parse(response.body);
  }

  http::Router router_;
};

TEST_F(ControlApi, WholeScanByRequestsAlone) {
  plug_in();
  EXPECT_EQ(get("/api/v1/devices")["devices"][0]["status"], "available");
  const auto device = get("/api/v1/devices")["devices"][0];
  EXPECT_EQ(device["model"], "RealSense D405");
  EXPECT_EQ(device["kind"], "depth");
  EXPECT_EQ(device["speed"], "SuperSpeed (5 Gbit/s)");
  EXPECT_TRUE(device["user"].is_null());
  EXPECT_TRUE(device["tip"].is_null());
  EXPECT_EQ(device["frames"]["missing"], 0);
  const json made = post("/api/v1/tickets",
                         R"({"kind": "intraoral", "stages": ["upper"], "teeth_fdi": [11, 46],
                             "patient": {"name": "Ada Quick", "date_of_birth": "1990-12-10"}})",
                         201);
  const std::string id = made["id"];
  EXPECT_EQ(made["state"], "created");
  EXPECT_EQ(get("/api/v1/tickets")["tickets"][0]["patient"]["name"], "Ada Quick");
  EXPECT_EQ(post("/api/v1/tickets/" + id + "/claim")["state"], "claimed");

  const json begun = post("/api/v1/scan/start", json{{"ticket_id", id}, {"stage", "upper"}}.dump());
  EXPECT_EQ(begun["ticket"]["state"], "scanning");
  EXPECT_EQ(begun["ticket"]["patient"]["date_of_birth"], "1990-12-10");
  EXPECT_EQ(begun["scan"]["stage"], "upper");
  ASSERT_TRUE(eventually([&] { return has_frames(10); }));
  const json live = get("/api/v1/status");
  for (const char* count : {"frames", "fps", "tracked", "relocalised", "lost", "dropped", "broken",
                            "triangles", "residual_mm"})
    EXPECT_TRUE(live["scan"][count].is_number()) << count;
  const auto mesh = call("GET", "/api/v1/scan/mesh");
  EXPECT_EQ(mesh.status, 200u) << mesh.body;
  EXPECT_EQ(mesh.body.substr(0, 8), "CUSPMESH");
  EXPECT_GT(mesh.body.size(), 5000u);
  EXPECT_EQ(post("/api/v1/scan/pause")["ticket"]["state"], "paused");
  EXPECT_EQ(post("/api/v1/scan/resume")["ticket"]["state"], "scanning");
  const json finished = post("/api/v1/scan/finish-stage");
  EXPECT_TRUE(finished["scan"].is_null());
  post("/api/v1/scan/finish");
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
  EXPECT_TRUE(get("/api/v1/status")["ticket"].is_null());
  EXPECT_EQ(call("GET", "/api/v1/scan/mesh").status, 409u) << "nothing is scanned";
  const json models = get("/api/v1/models?ticket_id=" + id)["models"];
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0]["files"][0]["name"], "upper.stl");
  EXPECT_TRUE(std::filesystem::exists(models[0]["files"][0]["path"].get<std::string>()));
  const json entries = get("/api/v1/outbox")["entries"];
  EXPECT_EQ(entries[0]["ticket_id"], id);
  EXPECT_TRUE(entries[0]["receipt"].is_null());
  EXPECT_EQ(get("/api/v1/status")["outbox"]["ready"].get<int>() +
                get("/api/v1/status")["outbox"]["sending"].get<int>(),
            1);
  const std::string metrics = call("GET", "/metrics", "").body;
  EXPECT_THAT(metrics, HasSubstr("\ncusp_outbox_depth 1\n"));
  EXPECT_THAT(metrics, HasSubstr("\ncusp_store_connected 0\n"));
  EXPECT_THAT(metrics, ContainsRegex("\ncusp_fsync_seconds_count [1-9]"));
  EXPECT_THAT(metrics, Not(HasSubstr(id))) << "numbers alone";
}

TEST_F(ControlApi, MalformedBodiesGetOneSentence) {
  const std::pair<const char*, const char*> bad[] = {
      {"{", "not JSON"},
      {"[]", "not a JSON object"},
      {"3", "not a JSON object"},
      {"\xff\xfe", "not JSON"},
      {R"({"stage": "uper"})", "is none of upper, lower"},
      {R"({"stage": 3})", "is none of upper, lower"},
      {R"({"stage": null})", "is none of upper, lower"},
      {R"({"ticket_id": 7, "stage": "upper"})", "ticket_id is not a text"},
      {R"({"ticket_id": "../x", "stage": "upper"})", "UUID"},
      {R"({"stage": "upper", "speed": 3})", "is not a key here"},
      {R"({"ticket_id": "a\u0000b", "stage": "upper"})", "ticket_id"},
      {"{}", "stage is missing"},
      {"", "stage is missing"},
  };
  for (const auto& [body, why] : bad) {
    const auto response = call("POST", "/api/v1/scan/start", body);
    EXPECT_EQ(response.status, 400u) << body << ": " << response.body;
    EXPECT_EQ(response.content_type, "application/problem+json");
    const json problem = json::parse(response.body, nullptr, false);
    ASSERT_FALSE(problem.is_discarded()) << response.body;
    EXPECT_THAT(problem["detail"].get<std::string>(), HasSubstr(why)) << body;
  }
}

TEST_F(ControlApi, DeeplyNestedBodiesAreRefused) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  for (const std::string& body :
       {std::string(100'000, '['), deep, R"({"stage": )" + deep + "}",
        R"({"patient": {"name": )" + deep + "}}", R"({"teeth_fdi": [)" + deep + "]}"})
    for (const char* path : {"/api/v1/scan/start", "/api/v1/tickets"}) {
      const auto response = call("POST", path, body);
      EXPECT_EQ(response.status, 400u);
      EXPECT_THAT(response.body, HasSubstr("nested deeper than 8 levels"));
    }
  EXPECT_THAT(call("POST", "/api/v1/scan/start", R"({"stage": [["upper"]]})").body,
              HasSubstr("stage a list is none of"));
}

TEST_F(ControlApi, ReleaseOfAParcelAndDiscardOfAStageSayWhatIsWrong) {
  EXPECT_EQ(call("POST", "/api/v1/outbox/7/release").status, 404u);
  EXPECT_EQ(call("POST", "/api/v1/outbox/-1/release").status, 400u);
  EXPECT_EQ(call("POST", "/api/v1/outbox/7x/release").status, 400u);
  EXPECT_EQ(call("POST", "/api/v1/scan/discard", "{}").status, 400u);
  plug_in();
  const std::string id = make_ticket({ScanStage::kUpper});
  scan_stage(id, ScanStage::kUpper);
  const auto whole = call("POST", "/api/v1/scan/discard", R"({"stage": "upper"})");
  EXPECT_EQ(whole.status, 409u);
  EXPECT_THAT(whole.body, HasSubstr("only a failed one is discarded"));
  post("/api/v1/scan/finish");
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
  const auto seq = station_->outbox().front().seq;
  EXPECT_EQ(call("POST", fmt::format("/api/v1/outbox/{}/release", seq)).status, 409u)
      << "it is not parked";
}

TEST_F(ControlApi, MalformedTicketsAreRefused) {
  const std::pair<const char*, const char*> bad[] = {
      {R"({"kind": "dog"})", "kind is neither"},
      {R"({"stages": "upper"})", "stages is not a list"},
      {R"({"stages": ["upper", "upper"]})", "named twice"},
      {R"({"stages": ["face-smile"]})", "does not belong"},
      {R"({"teeth_fdi": [11, 19]})", "19 is not an FDI"},
      {R"({"teeth_fdi": [-1]})", "not an FDI"},
      {R"({"teeth_fdi": [1e300]})", "not an FDI"},
      {R"({"teeth_fdi": "11"})", "not a list"},
      {R"({"patient": "Ada"})", "not a JSON object"},
      {R"({"patient": {"nme": "Ada"}})", "is not a key here"},
      {R"({"doctor": "a\u001bb"})", "doctor"},
      {R"({"id": "x"})", "is not a key here"},
  };
  for (const auto& [body, why] : bad) {
    const auto response = call("POST", "/api/v1/tickets", body);
    EXPECT_EQ(response.status, 400u) << body << ": " << response.body;
    EXPECT_THAT(response.body, HasSubstr(why)) << body;
  }
  EXPECT_EQ(call("POST", "/api/v1/tickets", json{{"note", std::string(5000, 'x')}}.dump()).status,
            400u);
  EXPECT_TRUE(get("/api/v1/tickets")["tickets"].empty());
}

TEST_F(ControlApi, WrongStatesAndNamesHaveTheirStatus) {
  const std::string id = make_ticket();
  EXPECT_EQ(call("POST", "/api/v1/scan/pause", "").status, 409u);
  EXPECT_EQ(call("POST", "/api/v1/tickets/" + id + "/release", "").status, 409u);
  EXPECT_EQ(call("POST", "/api/v1/tickets/" + new_uuid() + "/claim", "").status, 404u);
  EXPECT_EQ(call("POST", "/api/v1/tickets/abc/claim", "").status, 400u);
  EXPECT_EQ(call("POST", "/api/v1/tickets/" + new_uuid() + "/claim", R"({"insist": 1})").status,
            400u);
  EXPECT_EQ(call("GET", "/api/v1/tickets/" + new_uuid()).status, 404u);
  EXPECT_EQ(call("GET", "/api/v1/models?ticket_id=x").status, 400u);
  EXPECT_EQ(call("GET", "/api/v1/scan/mesh?since=-1").status, 400u);
  EXPECT_EQ(call("GET", "/api/v1/scan/mesh?mesh=one").status, 400u);
  EXPECT_EQ(
      call("POST", "/api/v1/scan/start", json{{"ticket_id", id}, {"stage", "upper"}}.dump()).status,
      503u)
      << "no device";
  EXPECT_EQ(
      call("POST", "/api/v1/scan/start", json{{"ticket_id", id}, {"stage", "bite-left"}}.dump())
          .status,
      503u);
  EXPECT_EQ(call("GET", "/api/v1/nothing").status, 404u);
  EXPECT_EQ(call("DELETE", "/api/v1/tickets").status, 405u);
}

}  // namespace
}  // namespace cusp::daemon
