#include "http/metrics.h"

#include <gtest/gtest.h>

namespace cusp::http {
namespace {

// As Prometheus' exposition format 0.0.4 has it.
TEST(Metrics, AreLinesThatPrometheusReads) {
  Metrics metrics;
  metrics.gauge("cusp_outbox_depth", "Parcels that wait", 3);
  metrics.counter("cusp_bytes_sent_total", "Bytes", 12345678901.0);
  metrics.summary("cusp_fsync_seconds", "Flushes", 4, 0.25);
  const Response response = metrics.response();
  EXPECT_EQ(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(response.body,
            "# HELP cusp_outbox_depth Parcels that wait\n# TYPE cusp_outbox_depth gauge\n"
            "cusp_outbox_depth 3\n"
            "# HELP cusp_bytes_sent_total Bytes\n# TYPE cusp_bytes_sent_total counter\n"
            "cusp_bytes_sent_total 12345678901\n"
            "# HELP cusp_fsync_seconds Flushes\n# TYPE cusp_fsync_seconds summary\n"
            "cusp_fsync_seconds_count 4\ncusp_fsync_seconds_sum 0.25\n");
}

}  // namespace
}  // namespace cusp::http
