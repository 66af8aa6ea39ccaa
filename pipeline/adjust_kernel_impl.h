// The body of adjust_kernel.cc, which includes it once for each instruction set, inside a
// namespace: the compiler splits vectors of eight into what the set has when it reads them, so they
// can't be shared. The sets give the same bits, as every operation is exactly rounded and none
// contracted.

constexpr int kLanes = 8;
using Floats = float [[gnu::vector_size(32)]];
using Ints = std::int32_t [[gnu::vector_size(32)]];

// Samples that met, waiting to be summed: as many as stay in the first-level cache.
constexpr int kGroups = 48;
constexpr int kWaiting = kGroups * kLanes;
constexpr int kTerms = DepthWarp::kTerms;
constexpr int kProducts = kPairRow * (kPairRow + 1) / 2;
constexpr float kMinNormalCos = 0.7F;  // 45 degrees

struct alignas(32) Waiting {
  // Point, sum of both normals, residual times its length, weight; where the warp is asked in a and
  // in b, and how much of it counts there.
  float px[kWaiting], py[kWaiting], pz[kWaiting];
  float mx[kWaiting], my[kWaiting], mz[kWaiting];
  float residual[kWaiting], weight[kWaiting];
  float ax[kWaiting], ay[kWaiting], bx[kWaiting], by[kWaiting];
  float slope_a[kWaiting], slope_b[kWaiting];
  int count;
};

struct alignas(32) Sums {
  Floats products[kProducts];
  Floats squares, weight, met;
};

inline Floats load(const float* from) { return *reinterpret_cast<const Floats*>(from); }

// Legendre polynomials of mean square 1, as in depth_warp.cc.
inline void legendre(Floats s, Floats* values) {
  constexpr float kRoots[] = {1.0F,       1.7320508F, 2.2360680F, 2.6457513F, 3.0F,
                              3.3166248F, 3.6055513F, 3.8729833F, 4.1231056F};
  static_assert(DepthWarp::kDegree < static_cast<int>(sizeof(kRoots) / sizeof(float)));
  values[0] = 0.0F * s + 1.0F;
  values[1] = s;
  for (int n = 1; n < DepthWarp::kDegree; ++n) {
    const auto degree = static_cast<float>(n);
    const float next = (2 * degree + 1) / (degree + 1), last = degree / (degree + 1);
    values[n + 1] = next * s * values[n] - last * values[n - 1];
  }
  for (int n = 1; n <= DepthWarp::kDegree; ++n) values[n] *= kRoots[n];
}

// The warp's terms, as DepthWarp::terms_at has them.
inline void terms_of(Floats s, Floats t, Floats* terms) {
  Floats x[DepthWarp::kDegree + 1], y[DepthWarp::kDegree + 1];
  legendre(s, x);
  legendre(t, y);
  for (int degree = 1; degree <= DepthWarp::kDegree; ++degree)
    for (int j = 0; j <= degree; ++j) *terms++ = x[degree - j] * y[j];
}

inline Floats warp_at(Floats s, Floats t, const float* warp_mm) {
  Floats terms[kTerms];
  terms_of(s, t, terms);
  Floats sum = {};
  for (int k = 0; k < kTerms; ++k) sum += warp_mm[k] * terms[k];
  return sum;
}

// Cells of eight places, as numbers.
struct alignas(32) Gathered {
  float z[kLanes], nx[kLanes], ny[kLanes], nz[kLanes], weight[kLanes];

  inline void take(int lane, const Cell& cell) {
    z[lane] = cell.z_mm;
    nx[lane] = cell.normal[0];
    ny[lane] = cell.normal[1];
    nz[lane] = cell.normal[2];
    weight[lane] = cell.weight;
  }
  inline void take_none(int lane) { z[lane] = nx[lane] = ny[lane] = nz[lane] = weight[lane] = 0; }
};

inline void sum_up(const float middle_mm, float kernel_mm, Waiting& waiting, Sums& sums) {
  for (int i = waiting.count; i % kLanes != 0; ++i) {
    for (float* of : {waiting.px, waiting.py, waiting.pz, waiting.mx, waiting.my, waiting.residual,
                      waiting.weight, waiting.ax, waiting.ay, waiting.bx, waiting.by,
                      waiting.slope_a, waiting.slope_b})
      of[i] = 0;
    waiting.mz[i] = 1;
  }
  const float per_kernel = 1.0F / (kernel_mm * kernel_mm);
  for (int i = 0; i < waiting.count; i += kLanes) {
    const Floats mx = load(waiting.mx + i), my = load(waiting.my + i), mz = load(waiting.mz + i);
    const Floats px = load(waiting.px + i), py = load(waiting.py + i);
    const Floats pz = load(waiting.pz + i) - middle_mm;
    const Floats residual = load(waiting.residual + i);
    const Floats per_length = 1.0F / (mx * mx + my * my + mz * mz);
    const Floats square = residual * residual * per_length;
    const Floats root = 1.0F / (1.0F + square * per_kernel);
    const Floats plain = load(waiting.weight + i);
    sums.squares += plain * square;
    sums.weight += plain;

    Floats row[kPairRow];
    row[0] = py * mz - pz * my;
    row[1] = pz * mx - px * mz;
    row[2] = px * my - py * mx;
    row[3] = mx;
    row[4] = my;
    row[5] = mz;
    Floats in_a[kTerms], in_b[kTerms];
    terms_of(load(waiting.ax + i), load(waiting.ay + i), in_a);
    terms_of(load(waiting.bx + i), load(waiting.by + i), in_b);
    const Floats slope_a = load(waiting.slope_a + i), slope_b = load(waiting.slope_b + i);
    for (int k = 0; k < kTerms; ++k) row[6 + k] = slope_a * in_a[k] - slope_b * in_b[k];
    row[kPairRow - 1] = residual;

    const Floats weight = plain * root * root * per_length;
    Floats* product = sums.products;
    for (int j = 0; j < kPairRow; ++j) {
      const Floats weighted = weight * row[j];
      for (int k = j; k < kPairRow; ++k) *product++ += weighted * row[k];
    }
  }
  waiting.count = 0;
}

inline double total(Floats lanes) {
  double sum = 0;
  for (int lane = 0; lane < kLanes; ++lane) sum += static_cast<double>(lanes[lane]);
  return sum;
}

inline void hand_over(Sums& sums, PairSums& totals) {
  for (int k = 0; k < kProducts; ++k)
    totals.products[static_cast<std::size_t>(k)] += total(sums.products[k]);
  totals.squares += total(sums.squares);
  totals.weight += total(sums.weight);
  totals.met += total(sums.met);
  sums = Sums();
}

void sum_pair(const CellLayout& in, const PairTask& task, const std::array<float, kTerms>& warp,
              PairSums& totals) {
  const float* const warp_mm = warp.data();
  Waiting waiting;
  waiting.count = 0;
  Sums sums = {};
  const auto& r = task.b_from_a;
  const float gate2 = task.gate_mm * task.gate_mm;
  const float lateral2 = task.lateral_mm * task.lateral_mm;
  const float per_fx = 1.0F / in.fx, per_fy = 1.0F / in.fy;
  const float right = static_cast<float>(in.width);
  const float bottom = static_cast<float>(in.height);
  const Floats zero = {};
  Floats steps;
  for (int lane = 0; lane < kLanes; ++lane) steps[lane] = static_cast<float>(lane * task.step);

  for (int y = task.first; y < in.height; y += task.step) {
    const Cell* const row = task.a + static_cast<std::ptrdiff_t>(y) * in.width;
    const Floats ray_y = zero + (static_cast<float>(y) - in.cy) * per_fy;
    const Floats ay = zero + (static_cast<float>(y) * in.warp_y + in.warp_y0);
    for (int x = task.first; x < in.width; x += kLanes * task.step) {
      Gathered a;
      bool any = false;
      for (int lane = 0; lane < kLanes; ++lane) {
        const int at = x + lane * task.step;
        if (at < in.width && row[at].z_mm > 0) {
          a.take(lane, row[at]);
          any = true;
        } else {
          a.take_none(lane);
        }
      }
      if (!any) continue;
      const Floats column = steps + static_cast<float>(x);
      const Floats ray_x = (column - in.cx) * per_fx;
      const Floats ax = column * in.warp_x + in.warp_x0;
      const Floats z = load(a.z) + warp_at(ax, ay, warp_mm);
      const Floats gx = r[0] * ray_x + r[1] * ray_y + r[2];
      const Floats gy = r[3] * ray_x + r[4] * ray_y + r[5];
      const Floats gz = r[6] * ray_x + r[7] * ray_y + r[8];
      const Floats px = gx * z + task.shift_mm[0];
      const Floats py = gy * z + task.shift_mm[1];
      const Floats pz = gz * z + task.shift_mm[2];
      const Floats per_z = 1.0F / pz;
      Floats u = px * per_z * in.fx + in.cx + 0.5F;
      Floats v = py * per_z * in.fy + in.cy + 0.5F;
      const Ints inside =
          (load(a.z) > 0.0F) & (pz > 0.0F) & (u >= 0.0F) & (v >= 0.0F) & (u < right) & (v < bottom);
      u = inside ? u : zero;
      v = inside ? v : zero;
      const Ints ui = __builtin_convertvector(u, Ints);
      const Ints vi = __builtin_convertvector(v, Ints);
      Gathered b;
      for (int lane = 0; lane < kLanes; ++lane) {
        if (inside[lane] != 0)
          b.take(lane, task.b[static_cast<std::ptrdiff_t>(vi[lane]) * in.width + ui[lane]]);
        else
          b.take_none(lane);
      }
      const Floats cell_x = __builtin_convertvector(ui, Floats);
      const Floats cell_y = __builtin_convertvector(vi, Floats);
      const Floats bx = cell_x * in.warp_x + in.warp_x0;
      const Floats by = cell_y * in.warp_y + in.warp_y0;
      const Floats ray_bx = (cell_x - in.cx) * per_fx;
      const Floats ray_by = (cell_y - in.cy) * per_fy;
      const Floats zb = load(b.z) + warp_at(bx, by, warp_mm);
      const Floats dx = px - ray_bx * zb;
      const Floats dy = py - ray_by * zb;
      const Floats dz = pz - zb;
      const Floats ax_n = load(a.nx), ay_n = load(a.ny), az_n = load(a.nz);
      const Floats nx = (r[0] * ax_n + r[1] * ay_n + r[2] * az_n) * (1 / kNormalUnit);
      const Floats ny = (r[3] * ax_n + r[4] * ay_n + r[5] * az_n) * (1 / kNormalUnit);
      const Floats nz = (r[6] * ax_n + r[7] * ay_n + r[8] * az_n) * (1 / kNormalUnit);
      const Floats bnx = load(b.nx) * (1 / kNormalUnit);
      const Floats bny = load(b.ny) * (1 / kNormalUnit);
      const Floats bnz = load(b.nz) * (1 / kNormalUnit);
      const Floats mx = nx + bnx, my = ny + bny, mz = nz + bnz;
      const Floats length2 = mx * mx + my * my + mz * mz;
      const Floats residual = mx * dx + my * dy + mz * dz;
      const Floats apart2 = dx * dx + dy * dy + dz * dz;
      const Floats off2 = residual * residual;
      const Floats wa = load(a.weight), wb = load(b.weight);
      const Ints good = inside & (load(b.z) > 0.0F) &
                        (nx * bnx + ny * bny + nz * bnz > kMinNormalCos) &
                        (off2 < gate2 * length2) & (apart2 * length2 < off2 + lateral2 * length2);
      const Floats weight = wa * wb / (wa + wb) * (1 / kWeightUnit);
      const Floats slope_a = mx * gx + my * gy + mz * gz;
      const Floats slope_b = mx * ray_bx + my * ray_by + mz;
      for (int lane = 0; lane < kLanes; ++lane) {
        if (good[lane] == 0) continue;
        const int i = waiting.count++;
        waiting.px[i] = px[lane];
        waiting.py[i] = py[lane];
        waiting.pz[i] = pz[lane];
        waiting.mx[i] = mx[lane];
        waiting.my[i] = my[lane];
        waiting.mz[i] = mz[lane];
        waiting.residual[i] = residual[lane];
        waiting.weight[i] = weight[lane];
        waiting.ax[i] = ax[lane];
        waiting.ay[i] = ay[lane];
        waiting.bx[i] = bx[lane];
        waiting.by[i] = by[lane];
        waiting.slope_a[i] = slope_a[lane];
        waiting.slope_b[i] = slope_b[lane];
        sums.met[lane] += 1.0F;
      }
      if (waiting.count > kWaiting - kLanes) {
        sum_up(task.middle_mm, task.kernel_mm, waiting, sums);
        hand_over(sums, totals);
      }
    }
  }
  sum_up(task.middle_mm, task.kernel_mm, waiting, sums);
  hand_over(sums, totals);
}
