#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "http/server.h"

namespace cusp::http {
namespace {

namespace fs = std::filesystem;

Request get(std::string path) {
  Request request;
  request.method = "GET";
  request.path = std::move(path);
  return request;
}

TEST(Router, GivesTheHandlerTheParametersOfItsPattern) {
  Router router;
  router.add("GET", "/tickets/{id}/stages/{stage}", [](const Request& request) {
    Response response;
    response.body = request.params.at("id") + "|" + request.params.at("stage");
    return response;
  });
  EXPECT_EQ(router.route(get("/tickets/a b/stages/upper")).body, "a b|upper");
  EXPECT_EQ(router.route(get("/tickets//stages/upper")).status, 404u);
  EXPECT_EQ(router.route(get("/tickets/7/stages")).status, 404u);
  EXPECT_EQ(router.route(get("/tickets/7/stages/upper/more")).status, 404u);
}

TEST(Router, TakesTheFirstPatternThatFits) {
  Router router;
  router.add("GET", "/a/fixed", [](const Request&) { return Response{.body = "fixed"}; });
  router.add("GET", "/a/{name}",
             [](const Request& r) { return Response{.body = r.params.at("name")}; });
  EXPECT_EQ(router.route(get("/a/fixed")).body, "fixed");
  EXPECT_EQ(router.route(get("/a/other")).body, "other");
}

TEST(Router, SaysWhichMethodsAPathHas) {
  Router router;
  const auto ok = [](const Request&) { return Response{}; };
  router.add("GET", "/patients", ok);
  router.add("POST", "/patients", ok);
  auto request = get("/patients");
  request.method = "DELETE";
  const auto response = router.route(request);
  EXPECT_EQ(response.status, 405u);
  EXPECT_EQ(response.headers.at("Allow"), "GET, POST");
}

TEST(Router, AnswersForAHandlerThatThrows) {
  Router router;
  router.add("GET", "/",
             [](const Request&) -> Response { throw std::runtime_error("inner secret"); });
  const auto response = router.route(get("/"));
  EXPECT_EQ(response.status, 500u);
  EXPECT_EQ(response.body.find("inner secret"), std::string::npos);
}

TEST(Problem, CarriesTheErrorsCodeAndSentence) {
  const auto response = problem(error(ErrorCode::kConflict, "ticket 7: is delivered already"));
  EXPECT_EQ(response.status, 409u);
  EXPECT_EQ(response.content_type, "application/problem+json");
  const auto body = nlohmann::json::parse(response.body);
  EXPECT_EQ(body["detail"], "ticket 7: is delivered already");
  EXPECT_EQ(body["code"], "conflict");
  EXPECT_EQ(body["status"], 409);
}

TEST(Problem, SurvivesADetailThatIsNotUtf8) {
  EXPECT_TRUE(nlohmann::json::accept(problem(400, "there is nothing at /\xff\xfe").body));
}

class ServedFolder : public testing::Test {
 protected:
  void SetUp() override {
    root_ =
        fs::temp_directory_path() / ("cusp-http-" + std::to_string(::getpid()) + "-" +
                                     testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(root_ / "web" / "assets");
    write(root_ / "web" / "index.html", "<p>page</p>");
    write(root_ / "web" / "assets" / "app-1f.js", "1;");
    write(root_ / "web" / ".hidden", "no");
    write(root_ / "secret.txt", "secret");
    router_.serve_folder(root_ / "web");
  }
  void TearDown() override { fs::remove_all(root_); }
  static void write(const fs::path& path, std::string_view text) { std::ofstream(path) << text; }

  fs::path root_;
  Router router_;
};

TEST_F(ServedFolder, GivesTheIndexAtTheRoot) {
  const auto response = router_.route(get("/"));
  EXPECT_EQ(response.status, 200u);
  EXPECT_EQ(response.content_type, "text/html; charset=utf-8");
  EXPECT_EQ(response.file->filename(), "index.html");
  EXPECT_EQ(response.headers.at("Cache-Control"), "no-cache");
}

TEST_F(ServedFolder, LetsBrowsersKeepHashedAssets) {
  const auto response = router_.route(get("/assets/app-1f.js"));
  EXPECT_EQ(response.content_type, "text/javascript; charset=utf-8");
  EXPECT_NE(response.headers.at("Cache-Control").find("immutable"), std::string::npos);
}

TEST_F(ServedFolder, NeverLeavesTheFolder) {
  fs::create_symlink(root_ / "secret.txt", root_ / "web" / "link.txt");
  fs::create_directory_symlink(root_, root_ / "web" / "up");
  for (const char* path : {"/../secret.txt", "/assets/../../secret.txt", "/./index.html",
                           "/.hidden", "//index.html", "/assets", "/assets/", "/link.txt",
                           "/up/secret.txt", "/assets/..", "/..", "/nothing.js", "/index.html/"})
    EXPECT_EQ(router_.route(get(path)).status, 404u) << path;
}

TEST_F(ServedFolder, IsOnlyRead) {
  auto request = get("/index.html");
  request.method = "PUT";
  EXPECT_EQ(router_.route(request).status, 404u);
}

}  // namespace
}  // namespace cusp::http
