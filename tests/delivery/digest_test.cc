#include "delivery/digest.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/delivery/samples.h"
#include "tests/fakes/temp_folder.h"

namespace cusp::delivery {
namespace {

// FIPS 180-4 examples.
TEST(Digest, knows_the_published_values) {
  EXPECT_EQ(sha256_hex(std::string_view("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(std::string_view("")),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Digest, is_the_same_in_pieces_and_from_a_file) {
  const fakes::TempFolder folder;
  const auto bytes = random_bytes(3'000'001, 4);
  Sha256 hash;
  hash.update(std::span(bytes).first(1'000'000));
  hash.update(std::span(bytes).subspan(1'000'000));
  const std::string whole = sha256_hex(bytes);
  EXPECT_EQ(hash.finish_hex(), whole);
  std::ofstream(folder / "file", std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  EXPECT_EQ(*sha256_hex_of_file(folder / "file"), whole);
  EXPECT_EQ(sha256_hex_of_file(folder / "none").error().code, ErrorCode::kNotFound);
}

TEST(Digest, takes_only_64_lower_case_hex_digits_for_a_name) {
  EXPECT_TRUE(is_sha256_hex(std::string(64, 'a')));
  EXPECT_FALSE(is_sha256_hex(std::string(63, 'a')));
  EXPECT_FALSE(is_sha256_hex(std::string(64, 'A')));
  EXPECT_FALSE(is_sha256_hex("../" + std::string(61, 'a')));
}

}  // namespace
}  // namespace cusp::delivery
