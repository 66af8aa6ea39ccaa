// The body of fringe_kernel.cc, which includes it once for each instruction set, inside a
// namespace: the compiler splits vectors of eight into what the set has when it reads them, so they
// can't be shared. The sets give the same bits, as every operation is exactly rounded and none
// contracted.

constexpr float kHalfTurn = 3.14159265358979F;
constexpr std::int32_t kSign = std::numeric_limits<std::int32_t>::min();
// A cue's noise must not push what lies at the end of the range out of it.
constexpr float kCueSlack = 0.05F;  // fringes
// A surface may fall away by this many pixel widths a pixel before it counts as a jump, and by
// this many standard deviations.
constexpr float kJumpSlope = 5.5F;
constexpr float kJumpSigmas = 6;
// Eights of pixels that stay in the first-level cache with all that is known of them. Each step of
// the way is a loop over them, so that the processor has several under way.
constexpr std::size_t kEights = 16;

inline Floats load(const float* from) {
  Floats lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}
// The first `count` of them.
inline void store(const Floats& lanes, float* to, std::size_t count) {
  if (count >= kFringeLanes)
    std::memcpy(to, &lanes, sizeof lanes);
  else
    std::memcpy(to, &lanes, count * sizeof(float));
}

constexpr Floats kWays = {fringe_way(0), fringe_way(1), fringe_way(2), fringe_way(3),
                          fringe_way(4), fringe_way(5), fringe_way(6), fringe_way(7)};
inline Floats along(const FringeLine& line) { return line[0] + kWays * line[1]; }
inline Floats along(const FringeParabola& bow) {
  return bow[0] + kWays * (bow[1] + kWays * bow[2]);
}
inline Ints lanes_of(std::uint32_t bits) {
  constexpr Ints kBits = {1, 2, 4, 8, 16, 32, 64, 128};
  return (static_cast<std::int32_t>(bits) & kBits) != 0;
}

inline Floats to_floats(const Ints& v) { return __builtin_convertvector(v, Floats); }
inline Ints cut(const Floats& v) { return __builtin_convertvector(v, Ints); }
inline Floats round_down(const Floats& v) {
  const Ints whole = cut(v);
  return to_floats(whole + (to_floats(whole) > v));  // true is -1
}
inline Floats magnitude(const Floats& v) {
  return reinterpret_cast<Floats>(reinterpret_cast<Ints>(v) & ~kSign);
}
inline Floats only_if(const Ints& holds, const Floats& v) {
  return reinterpret_cast<Floats>(reinterpret_cast<Ints>(v) & holds);
}
inline Floats square_root(const Floats& v) {
  Floats root;
  for (int k = 0; k < static_cast<int>(kFringeLanes); ++k) root[k] = __builtin_sqrtf(v[k]);
  return root;
}
// atan2 in turns, -0.5 .. 0.5, within 5e-7 turns, or 3e-5 for a cue: Chebyshev interpolation of
// atan(q) / q in q^2, and symmetry.
template <bool kIsCue>
inline Floats turns(const Floats& sine, const Floats& cosine) {
  constexpr float kTurn = 0.5F / kHalfTurn;
  constexpr float kNothing = 1e-30F;  // disappears beside any modulation
  const Floats x = magnitude(cosine);
  const Floats y = magnitude(sine);
  const Ints steep = y > x;
  const Floats q = (steep ? x : y) / ((steep ? y : x) + kNothing);
  const Floats t = q * q;
  Floats p;
  if (kIsCue) {
    p = t * (kTurn * -0.043359344F) + kTurn * 0.15409517F;
    p = p * t - kTurn * 0.32523047F;
    p = p * t + kTurn * 0.99975284F;
  } else {
    p = t * (kTurn * -0.013130382F) + kTurn * 0.056589985F;
    p = p * t - kTurn * 0.120448585F;
    p = p * t + kTurn * 0.19534659F;
    p = p * t - kTurn * 0.33295711F;
    p = p * t + kTurn * 0.99999483F;
  }
  Floats angle = p * q;
  angle = steep ? 0.25F - angle : angle;
  angle = cosine < 0.0F ? 0.5F - angle : angle;
  return reinterpret_cast<Floats>(reinterpret_cast<Ints>(angle) |
                                  (reinterpret_cast<Ints>(sine) & kSign));
}

// sin(2 pi t), t in turns, |t| <= 0.5, within 1.1e-3: enough for what is a small part of a turn,
// and for a step's sine and cosine (0.3 um of depth).
inline Floats sine_of_turns(const Floats& t) {
  const Floats u = t * (8.0F - 16.0F * magnitude(t));
  return u * (0.775F + 0.225F * magnitude(u));
}

// A picture by itself, ready for one row.
struct Step {
  const std::uint8_t* row;
  float cosine, sine, turns, time;
  float offset;  // counts to take off
};
// A pitch, ready for one row.
struct Rung {
  PicturePair pairs[kMaxPairs];
  Step steps[kMaxFringePictures];
  std::size_t count, pictures;
  float pitch_px, per_pitch, slack;
  float per_weight2;   // of the strength
  float cosine, sine;  // weighted counts to take off
  float order, harmonic;
  float phase_noise;
};

struct Waves {
  Floats cosine[kEights], sine[kEights];
  Floats part[kEights];      // of a turn
  Floats strength[kEights];  // modulation squared
  Floats missed2[kEights];   // columns squared that motion may have moved it by
  Ints light[kEights];
};
struct Columns {
  Floats px[kEights];
  Ints good[kEights];
  std::size_t live[kEights];  // the eights with a good pixel
  std::size_t count;
};

// Of the live eights from pixel x on; those that are too dim or too bright live no more.
// A cue tells the fringe of the next pitch, and no noise.
template <bool kIsCue>
inline void find_waves(const Rung& rung, const FringeGates& gates, std::size_t x, Waves& waves,
                       Columns& columns) {
  const float least = gates.min_modulation * gates.min_modulation;
  std::size_t count = 0;
  for (std::size_t j = 0; j < columns.count; ++j) {
    const std::size_t i = columns.live[j];
    const PictureSums sums = add_pictures<!kIsCue>(rung.pairs, rung.count, x + i * kFringeLanes);
    const Floats cosine = to_floats(sums.cosine) - rung.cosine;
    const Floats sine = to_floats(sums.sine) - rung.sine;
    waves.cosine[i] = cosine;
    waves.sine[i] = sine;
    if (!kIsCue) waves.light[i] = sums.light;
    waves.strength[i] = (cosine * cosine + sine * sine) * rung.per_weight2;
    columns.good[i] &= (waves.strength[i] >= least) & (sums.brightest < gates.saturated_from);
    columns.live[count] = i;
    count += any(columns.good[i]) ? 1 : 0;
  }
  columns.count = count;
  for (std::size_t j = 0; j < count; ++j) {
    const std::size_t i = columns.live[j];
    waves.part[i] = turns<kIsCue>(waves.sine[i], waves.cosine[i]);
  }
  if (rung.harmonic == 0) return;
  for (std::size_t j = 0; j < count; ++j) {
    const std::size_t i = columns.live[j];
    const Floats many = rung.order * waves.part[i];
    const Floats t = many - round_down(many + 0.5F);
    waves.part[i] -= rung.harmonic * sine_of_turns(t);
  }
}

inline Rung rung_of(const FringePitch& pitch, const std::uint8_t* const* pictures, bool is_cue) {
  Rung rung;
  rung.count = pitch.pairs.size();
  rung.pitch_px = pitch.pitch_px;
  rung.per_pitch = 1.0F / pitch.pitch_px;
  rung.slack = is_cue ? kCueSlack : 0.0F;
  rung.per_weight2 = pitch.per_weight * pitch.per_weight;
  rung.cosine = pitch.bend.cosine / pitch.per_weight;
  rung.sine = pitch.bend.sine / pitch.per_weight;
  rung.order = static_cast<float>(pitch.bend.order);
  rung.harmonic = pitch.bend.order > 0 ? pitch.bend.harmonic : 0.0F;
  rung.pictures = pitch.pictures;
  rung.phase_noise = pitch.phase_noise;
  for (std::size_t k = 0; k < pitch.steps.size(); ++k) {
    const FringeStep& step = pitch.steps[k];
    rung.steps[k] = {.row = pictures[step.picture],
                     .cosine = step.cosine,
                     .sine = step.sine,
                     .turns = step.turns,
                     .time = step.time,
                     .offset = pitch.bend.cosine * step.cosine + pitch.bend.sine * step.sine};
  }
  for (std::size_t k = 0; k < rung.count; ++k) {
    const FringePair& pair = pitch.pairs[k];
    rung.pairs[k] = {.first = pictures[pair.pictures[0]],
                     .second = pictures[pair.pictures[1]],
                     .cosine = pair.cosine,
                     .sine = pair.sine,
                     .light = pair.light};
  }
  return rung;
}

// Of the live eights: how what is seen moves in a time of 1.
struct Drift {
  Floats column[kEights], row[kEights];  // px
  Floats fringe[kEights];                // the projector's columns
};

inline Floats smaller(const Floats& a, const Floats& b) { return a < b ? a : b; }
inline Floats larger(const Floats& a, const Floats& b) { return a > b ? a : b; }
inline Floats wrapped(const Floats& turns) { return turns - round_down(turns + 0.5F); }

struct Inverse {
  Floats depth, a_column;  // 1 / mm; and how it changes from column to column
};
inline Inverse inverse_of(const FringeRays& rays, const Floats& column_px) {
  const Floats d = column_px - along(rays.middle_px);
  const Floats c0 = along(rays.low_powers[0]);
  const Floats c1 = along(rays.low_powers[1]);
  const Floats c2 = along(rays.high_powers[0]);
  const Floats c3 = along(rays.high_powers[1]);
  const float c4 = rays.fourth_power;
  return {c0 + d * (c1 + d * (c2 + d * (c3 + d * c4))),
          magnitude(c1 + d * (2.0F * c2 + d * (3.0F * c3 + d * (4.0F * c4))))};
}

inline void find_drift(const FringeFlows& flows, const FringeRays* rays, std::size_t x,
                       const Columns& columns, Drift& drift) {
  for (std::size_t j = 0; j < columns.count; ++j) {
    const std::size_t i = columns.live[j];
    const FringeFlow& flow = flows.flows[x / kFringeLanes + i];
    const Floats depth = inverse_of(rays[i], columns.px[i]).depth;
    const Floats w =
        smaller(larger((depth - flows.middle) * flows.per_reach, Floats{} - 1.0F), Floats{} + 1.0F);
    drift.column[i] = along(flow.column[0]) + w * along(flow.column[1]);
    drift.row[i] = along(flow.row[0]) + w * along(flow.row[1]);
    drift.fringe[i] =
        along(flow.fringe[0]) + w * (along(flow.fringe[1]) + w * along(flow.fringe[2]));
  }
}

// What a picture shows between its pixels.
struct Seen {
  Floats value, brightest;
  Ints inside;
};
// `column`, of the picture; `row`, from its row y. Along the row, across the fringes, by the cubic
// of E. Catmull and R. Rom ("A class of local interpolating splines", 1974), which keeps their
// contrast; linear between rows.
inline Seen look_between(const std::uint8_t* picture_row, const FringeFlows& flows,
                         const Floats& column, const Floats& row) {
  const auto y = static_cast<float>(flows.y);
  const Floats below_top = row + y;
  const Ints inside = (column >= 1.0F) & (column < static_cast<float>(flows.width - 2)) &
                      (below_top >= 0.0F) & (below_top < static_cast<float>(flows.height - 1));
  const Floats u = only_if(inside, column);
  const Floats v = only_if(inside, below_top);
  const Ints left = cut(u);
  const Ints top = cut(v);
  const Floats f = u - to_floats(left);
  const Floats fy = v - to_floats(top);
  const Ints offset = ((top - flows.y) * flows.width + left - 1) & inside;
  const Ints upper = four_bytes(picture_row, offset);
  const Ints lower = four_bytes(picture_row, offset + (inside & flows.width));
  const Floats weights[4] = {0.5F * f * ((2.0F - f) * f - 1.0F),
                             0.5F * ((3.0F * f - 5.0F) * f * f + 2.0F),
                             0.5F * f * ((4.0F - 3.0F * f) * f + 1.0F), 0.5F * f * f * (f - 1.0F)};
  Seen seen{.value = Floats{}, .brightest = Floats{}, .inside = inside};
  for (int k = 0; k < 4; ++k) {
    const Floats a = to_floats((upper >> (8 * k)) & 255);
    const Floats b = to_floats((lower >> (8 * k)) & 255);
    seen.value += weights[k] * (a + fy * (b - a));
    seen.brightest = larger(seen.brightest, larger(a, b));
  }
  return seen;
}

// Noise may grow by this much because a motion brought the fringes' steps together: its square.
constexpr float kMostGrowth2 = 25;

// What can't be followed is off by about this share of the columns that pass by from picture to
// picture, measured: 0.46.
constexpr float kMissedShare = 0.5F, kMostMissed = 1000;

// Waves of the live eights again, of what moves with the drift. Each picture is looked up where it
// shows the surface that the pixel shows at time 0, and the fringes have stepped on by as much as
// that has moved beneath the projector: steps of any size, by least squares in each pixel. Where a
// picture does not show it, or the steps have become too much alike, the waves stay as they are.
template <bool kIsCue>
inline void follow_waves(const Rung& rung, const FringeGates& gates, const FringeFlows& flows,
                         std::size_t x, const Drift& drift, Waves& waves, Columns& columns) {
  const auto n = static_cast<float>(rung.pictures);
  const float at_rest = rung.phase_noise * rung.phase_noise;
  const float least = gates.min_modulation * gates.min_modulation;
  const auto too_bright = static_cast<float>(gates.saturated_from);
  const float harmonic = -2.0F * kHalfTurn * rung.harmonic;
  std::size_t count = 0;
  for (std::size_t j = 0; j < columns.count; ++j) {
    const std::size_t i = columns.live[j];
    const Floats pixel = kWays + (static_cast<float>(x + i * kFringeLanes) - fringe_way(0));
    const Floats on = drift.fringe[i] * rung.per_pitch;  // turns
    const Floats height = harmonic * square_root(waves.strength[i]);
    Floats c{}, s{}, cc{}, cs{}, sum{}, sum_c{}, sum_s{}, brightest{};
    Ints usable = columns.good[i];
    for (std::size_t k = 0; k < rung.pictures; ++k) {
      const Step& step = rung.steps[k];
      const Seen seen = look_between(step.row, flows, pixel + step.time * drift.column[i],
                                     step.time * drift.row[i]);
      const Floats turn = wrapped(step.time * on);
      const Floats cosine_on = sine_of_turns(wrapped(turn + 0.25F));
      const Floats sine_on = sine_of_turns(turn);
      const Floats cosine = step.cosine * cosine_on + step.sine * sine_on;
      const Floats sine = step.sine * cosine_on - step.cosine * sine_on;
      Floats value = seen.value - step.offset;
      if (rung.harmonic != 0)
        value -= height * sine_of_turns(wrapped(
                              (rung.order - 1.0F) * (waves.part[i] - step.turns + turn) + 0.25F));
      c += cosine;
      s += sine;
      cc += cosine * cosine;
      cs += cosine * sine;
      sum += value;
      sum_c += value * cosine;
      sum_s += value * sine;
      brightest = larger(brightest, seen.brightest);
      usable &= seen.inside;
    }
    const Floats ss = n - cc - s * s * (1.0F / n);
    cc -= c * c * (1.0F / n);
    cs -= c * s * (1.0F / n);
    sum_c -= sum * c * (1.0F / n);
    sum_s -= sum * s * (1.0F / n);
    const Floats area = cc * ss - cs * cs;
    const Ints apart = area > 1e-3F * n * n;
    const Floats per_area = 1.0F / (apart ? area : Floats{} + 1.0F);
    const Floats real = (ss * sum_c - cs * sum_s) * per_area;
    const Floats imaginary = (cc * sum_s - cs * sum_c) * per_area;
    const Floats strength = real * real + imaginary * imaginary;
    // Noise squared of the phase, times the strength squared.
    const Floats noise =
        (ss * imaginary * imaginary + 2.0F * cs * real * imaginary + cc * real * real) * per_area;
    usable &= apart & (noise <= kMostGrowth2 * at_rest * strength);
    columns.good[i] &= ~usable | ((strength >= least) & (brightest < too_bright));
    usable &= columns.good[i];
    waves.part[i] = usable ? turns<kIsCue>(imaginary, real) : waves.part[i];
    waves.strength[i] = usable ? strength * strength * at_rest / (usable ? noise : Floats{} + 1.0F)
                               : waves.strength[i];
    const Floats missed =
        smaller(kMissedShare * magnitude(drift.fringe[i]), Floats{} + kMostMissed);
    waves.missed2[i] = usable ? Floats{} : missed * missed;
    columns.live[count] = i;
    count += any(columns.good[i]) ? 1 : 0;
  }
  columns.count = count;
}

inline bool sample(const std::vector<FringePitch>& pitches, const std::uint8_t* const* pictures,
                   const FringeRays& rays, std::size_t x, const FringeGates& gates,
                   FringeWaves* waves) {
  const Floats middle = along(rays.middle_px);
  Ints good = lanes_of(rays.lit);
  Floats column = middle;
  for (std::size_t r = 0; r < pitches.size(); ++r) {
    const FringePitch& pitch = pitches[r];
    const Rung rung = rung_of(pitch, pictures, false);
    const PictureSums sums = add_pictures<true>(rung.pairs, rung.count, x);
    const Floats c = to_floats(sums.cosine) * pitch.per_weight;
    const Floats s = to_floats(sums.sine) * pitch.per_weight;
    const Floats strength = c * c + s * s;
    good &= (strength >= gates.min_modulation * gates.min_modulation) & (strength > 0.0F) &
            (sums.brightest < gates.saturated_from);
    const Floats part = turns<false>(s, c);
    const Floats order = round_down(column * rung.per_pitch - part + 0.5F);
    column = (order + part) * pitch.pitch_px;
    if (r == 0) good &= magnitude(column - middle) <= along(rays.reach_px);
    if (!any(good)) return false;
    const Floats per_modulation = 1.0F / square_root(strength);
    const Floats cosine = c * per_modulation;
    const Floats sine = s * per_modulation;
    Floats real = Floats{} + 1.0F, imaginary = Floats{};  // of the turns so far
    for (int i = 0; i < pitch.bend.order; ++i) {
      const Floats before = real;
      real = before * cosine - imaginary * sine;
      imaginary = before * sine + imaginary * cosine;
    }
    const Floats brightness = to_floats(sums.light) * (1.0F / static_cast<float>(pitch.pictures));
    const float columns = pitch.phase_noise * pitch.pitch_px / (2 * kHalfTurn);
    const Floats variance = (gates.read_noise * gates.read_noise + gates.shot_noise * brightness) *
                            (columns * columns) / strength;
    FringeWaves& wave = waves[r];
    store(only_if(good, cosine), wave.cosine.data(), kFringeLanes);
    store(only_if(good, sine), wave.sine.data(), kFringeLanes);
    store(only_if(good, per_modulation), wave.per_modulation.data(), kFringeLanes);
    store(only_if(good, imaginary), wave.sine_of_order.data(), kFringeLanes);
    store(only_if(good, column), wave.column_px.data(), kFringeLanes);
    store(only_if(good, 1.0F / variance), wave.per_variance.data(), kFringeLanes);
  }
  return true;
}

// By the coarsest pitch, of which only one fringe may fit the range.
inline void find_columns(const Rung& widest, const FringeRays* rays, const Waves& waves,
                         Columns& columns) {
  for (std::size_t j = 0; j < columns.count; ++j) {
    const std::size_t i = columns.live[j];
    const Floats middle = along(rays[i].middle_px);
    const Floats reach = along(rays[i].reach_px);
    const Floats part = waves.part[i];
    const Floats from = (middle - reach) * widest.per_pitch - widest.slack - part;
    const Floats to = (middle + reach) * widest.per_pitch + widest.slack - part;
    const Floats order = -round_down(-from);
    columns.px[i] = (order + part) * widest.pitch_px;
    columns.good[i] &= (order <= to) & (order + 1.0F > to);
  }
}
// By a finer one: the fringe that is nearest to the coarser column.
inline void narrow_columns(const Rung& rung, const FringeRays* rays, const Waves& waves,
                           Columns& columns) {
  for (std::size_t j = 0; j < columns.count; ++j) {
    const std::size_t i = columns.live[j];
    const Floats middle = along(rays[i].middle_px);
    const Floats reach = along(rays[i].reach_px);
    const Floats part = waves.part[i];
    const Floats order = round_down(columns.px[i] * rung.per_pitch - part + 0.5F);
    columns.px[i] = (order + part) * rung.pitch_px;
    columns.good[i] &= magnitude(columns.px[i] - middle) <= reach + rung.slack * rung.pitch_px;
  }
}

inline void decode_row(const std::vector<FringePitch>& pitches, const std::uint8_t* const* pictures,
                       const FringeRays* rays, const FringeFlows* flows, std::size_t width,
                       const FringeGates& gates, float* inverse_depth, float* inverse_sigma) {
  Rung rungs[kMaxPitches];
  const std::size_t count = pitches.size();
  for (std::size_t r = 0; r < count; ++r) {
    rungs[r] = rung_of(pitches[r], pictures, r + 1 < count);
  }
  const FringePitch& finest = pitches.back();
  const float column_noise = finest.phase_noise * finest.pitch_px / (2 * kHalfTurn);
  const float per_picture = 1.0F / static_cast<float>(finest.pictures);
  const float read_variance = gates.read_noise * gates.read_noise;

  Waves waves;
  Columns columns;
  Drift drift;
  const auto find = [&](std::size_t r, std::size_t x) {
    if (r + 1 < count)
      find_waves<true>(rungs[r], gates, x, waves, columns);
    else
      find_waves<false>(rungs[r], gates, x, waves, columns);
  };
  const auto follow = [&](std::size_t r, std::size_t x) {
    if (r + 1 < count)
      follow_waves<true>(rungs[r], gates, *flows, x, drift, waves, columns);
    else
      follow_waves<false>(rungs[r], gates, *flows, x, drift, waves, columns);
  };
  for (std::size_t x = 0; x < width; x += kEights * kFringeLanes) {
    const std::size_t eights = std::min(kEights, (width - x + kFringeLanes - 1) / kFringeLanes);
    const FringeRays* const eight = rays + x / kFringeLanes;
    columns.count = eights;
    for (std::size_t i = 0; i < eights; ++i) {
      columns.live[i] = i;
      columns.good[i] = lanes_of(eight[i].lit);
    }
    find(0, x);
    find_columns(rungs[0], eight, waves, columns);
    if (flows != nullptr) {
      find_drift(*flows, eight, x, columns, drift);
      follow(0, x);
      find_columns(rungs[0], eight, waves, columns);
    }
    for (std::size_t r = 1; r < count; ++r) {
      find(r, x);
      if (flows != nullptr) follow(r, x);
      narrow_columns(rungs[r], eight, waves, columns);
    }
    std::size_t next = 0;
    for (std::size_t i = 0; i < eights; ++i) {
      const std::size_t here = x + i * kFringeLanes;
      const std::size_t left = width - here;
      if (next == columns.count || columns.live[next] != i) {
        store(Floats{}, inverse_depth + here, left);
        store(Floats{}, inverse_sigma + here, left);
        continue;
      }
      ++next;
      const Inverse inverse = inverse_of(eight[i], columns.px[i]);
      const Floats brightness = to_floats(waves.light[i]) * per_picture;
      const Floats noise2 = column_noise * column_noise *
                            (read_variance + gates.shot_noise * brightness) / waves.strength[i];
      const Floats noise = square_root(flows == nullptr ? noise2 : noise2 + waves.missed2[i]);
      const Ints good = columns.good[i];
      store(only_if(good, inverse.depth), inverse_depth + here, left);
      store(only_if(good, inverse.a_column * noise), inverse_sigma + here, left);
    }
  }
}

inline Neighbours look_up(const float* from, const Ints& index) {
  Neighbours met;
  if (look_up_near(from, index, met)) return met;
  double pair[kFringeLanes];
  for (int k = 0; k < static_cast<int>(kFringeLanes); ++k)
    std::memcpy(&pair[k], from + index[k], sizeof pair[k]);
  const auto a = reinterpret_cast<Floats>(Pairs{pair[0], pair[1], pair[4], pair[5]});
  const auto b = reinterpret_cast<Floats>(Pairs{pair[2], pair[3], pair[6], pair[7]});
  met.left = __builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14);
  met.right = __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15);
  return met;
}

// At index - one_more, which is 0 or -1 each.
inline Floats look_up_one(const float* from, const Ints& index, const Ints& one_more) {
  Floats met;
  if (look_up_one_near(from, index, one_more, met)) return met;
  for (int k = 0; k < static_cast<int>(kFringeLanes); ++k) met[k] = from[index[k] - one_more[k]];
  return met;
}

inline void straighten_row(const BentDepth& bent, const FringeSources* sources, std::size_t width,
                           float* depth_mm, float* sigma_mm) {
  const auto stride = static_cast<std::int32_t>(bent.width);
  const float jump = kJumpSlope * bent.pixel_at_1mm;
  const Floats one = Floats{} + 1.0F;
  for (std::size_t x = 0; x < width; x += kFringeLanes) {
    const FringeSources& source = sources[x / kFringeLanes];
    const Ints inside = lanes_of(source.seen);
    const Floats u = only_if(inside, along(source.column));
    const Floats v = only_if(inside, along(source.row));
    const Ints column = cut(u);
    const Ints row = cut(v);
    const Floats fx = u - to_floats(column);
    const Floats fy = v - to_floats(row);
    const Ints index = ((row - bent.first_row) & inside) * stride + column;
    const Neighbours top = look_up(bent.inverse_depth, index);
    const Neighbours bottom = look_up(bent.inverse_depth + bent.width, index);
    // Nothing around: as where the wand looks past the teeth.
    if (!any((larger(larger(top.left, top.right), larger(bottom.left, bottom.right)) > 0.0F) &
             inside)) {
      store(Floats{}, depth_mm + x, width - x);
      store(Floats{}, sigma_mm + x, width - x);
      continue;
    }
    const Ints to_right = fx > 0.5F;
    const Ints below = fy > 0.5F;
    const Floats nearest =
        below ? (to_right ? bottom.right : bottom.left) : (to_right ? top.right : top.left);
    const Floats sigma = below ? look_up_one(bent.inverse_sigma + bent.width, index, to_right)
                               : look_up_one(bent.inverse_sigma, index, to_right);
    const Floats low = smaller(smaller(top.left, top.right), smaller(bottom.left, bottom.right));
    const Floats high = larger(larger(top.left, top.right), larger(bottom.left, bottom.right));
    const Ints smooth = (low > 0.0F) & (high - low <= jump * low + kJumpSigmas * sigma);
    const Floats above = top.left + fx * (top.right - top.left);
    const Floats under = bottom.left + fx * (bottom.right - bottom.left);
    const Floats inverse = smooth ? above + fy * (under - above) : nearest;
    const Ints measured = inside & (inverse > 0.0F);
    const Floats z = one / (measured ? inverse : one);
    const std::size_t here = width - x;
    store(only_if(measured, z), depth_mm + x, here);
    store(only_if(measured, sigma * z * z), sigma_mm + x, here);
  }
}
