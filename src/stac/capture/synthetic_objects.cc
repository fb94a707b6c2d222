// What stands and moves in the synthetic street.
#include <algorithm>
#include <cmath>

#include "stac/capture/synthetic_layout.h"
#include "stac/capture/synthetic_noise.h"
#include "stac/capture/synthetic_street.h"

namespace stac {

using namespace street_layout;

namespace {

// Goes back and forth between 0 and `length`.
double BackAndForth(double way, double length) {
  const double turn = std::fmod(way, 2 * length);
  const double positive = turn < 0 ? turn + 2 * length : turn;
  return positive < length ? positive : 2 * length - positive;
}

}  // namespace

void Street::Add(Object object) {
  const double from = object.position.z - object.half_length - camera_.position.z;
  const double to = object.position.z + object.half_length - camera_.position.z;
  if (to < kNear || from > kFarObjects) return;
  object.left = object.top = 0;
  object.right = width_ - 1;
  object.bottom = height_ - 1;
  if (from > 0.5) {
    object.left = object.top = 1e9;
    object.right = object.bottom = -1e9;
    for (int corner = 0; corner < 8; ++corner) {
      const Vec3 relative = {
          object.position.x + (corner & 1 ? 1 : -1) * object.half_width - camera_.position.x,
          (corner & 2 ? object.height : 0) - camera_.position.y, corner & 4 ? from : to};
      const Vec2 p = camera_.Project(relative);
      object.left = std::min<double>(object.left, p.x - 1);
      object.right = std::max<double>(object.right, p.x + 1);
      object.top = std::min<double>(object.top, p.y - 1);
      object.bottom = std::max<double>(object.bottom, p.y + 1);
    }
    if (object.right < -1 || object.bottom < -1 || object.left > width_ || object.top > height_) {
      return;
    }
  }
  objects_.push_back(object);
}

void Street::AddObjects() {
  // Calls make(k, z) for the members of an endless row, at `spacing` apart and moving along the
  // street at `speed`, that may be in sight.
  const auto row = [this](double spacing, double speed, auto&& make) {
    const double offset = speed * time_;
    const auto first = std::floor((camera_.position.z - offset) / spacing) - 1;
    for (auto k = static_cast<int64_t>(first);
         k * spacing + offset < camera_.position.z + kFarObjects + spacing; ++k) {
      make(k, static_cast<double>(k) * spacing + offset);
    }
  };
  const auto seed_of = [this](int family, int64_t k) { return MixBits(seed_ + family, k); };

  for (const int side : {-1, 1}) {
    row(12, 0, [&](int64_t k, double z) {
      const uint64_t seed = seed_of(10 + side, k);
      if (Uniform(seed, 1) < 0.35f) return;
      const double radius = 1.2 + 0.8 * Uniform(seed, 2);
      Add({.kind = Kind::kTree,
           .seed = seed,
           .position = {side * (kKerb + 0.9), 0, z + 5 * Uniform(seed, 3)},
           .half_width = radius * 1.25,
           .height = 2.2 + 2.2 * radius * (1 + 0.15 * Uniform(seed, 4)),
           .half_length = 0});
    });
    row(22, 0, [&](int64_t k, double z) {
      Add({.kind = Kind::kLamp,
           .seed = seed_of(20 + side, k),
           .position = {side * (kKerb + 0.4), 0, z + (side > 0 ? 4 : 15)},
           .half_width = 0.09,
           .height = 6,
           .half_length = 0});
    });
    row(8, 0, [&](int64_t k, double z) {
      const uint64_t seed = seed_of(30 + side, k);
      if (Uniform(seed, 1) < 0.5f) return;
      Add({.kind = Kind::kCar,
           .seed = seed,
           .position = {side * (kKerb - 1.05), 0, z + 1.5 * Uniform(seed, 2)},
           .half_width = 0.9,
           .height = 1.35 + 0.3 * Uniform(seed, 3),
           .half_length = 2.0 + 0.3 * Uniform(seed, 4),
           .towards = side < 0});
    });
    for (const int direction : {-1, 1}) {
      const double speed = direction * 1.2;
      row(11, speed, [&](int64_t k, double z) {
        const uint64_t seed = seed_of(40 + 2 * side + direction, k);
        if (Uniform(seed, 1) < 0.3f) return;
        Add({.kind = Kind::kPerson,
             .seed = seed,
             .position = {side * (kKerb + 1.3 + 1.2 * Uniform(seed, 2)), 0,
                          z + 8 * Uniform(seed, 3)},
             .then_from_now = {0, 0, -speed * frame_time_},
             .half_width = 0.27,
             .height = 1.6 + 0.25 * Uniform(seed, 4),
             .half_length = 0});
      });
    }
  }
  row(34, 0, [&](int64_t k, double z) {
    Add({.kind = Kind::kSign,
         .seed = seed_of(50, k),
         .position = {kKerb + 0.35, 0, z + 11},
         .half_width = 0.34,
         .height = 2.7,
         .half_length = 0});
  });
  row(60, 0, [&](int64_t k, double z) {
    for (const int side : {-1, 1}) {
      Add({.kind = Kind::kSignal,
           .seed = seed_of(60, k),
           .position = {side * (kKerb + 0.25), 0, z + 21},
           .half_width = 0.2,
           .height = 3.3,
           .half_length = 0});
    }
    // Someone crosses the street here, back and forth.
    const uint64_t seed = seed_of(70, k);
    const double start = 20.0 * Uniform(seed, 1);
    const double x = BackAndForth(start + 1.3 * time_, 2 * kKerb) - kKerb;
    const double before = BackAndForth(start + 1.3 * (time_ - frame_time_), 2 * kKerb) - kKerb;
    Add({.kind = Kind::kPerson,
         .seed = seed,
         .position = {x, 0, z + 20},
         .then_from_now = {before - x, 0, 0},
         .half_width = 0.27,
         .height = 1.75,
         .half_length = 0});
  });
  for (const int side : {-1, 1}) {
    const double speed = side * (side < 0 ? 6.0 : 3.2);
    row(side < 0 ? 27 : 40, speed, [&](int64_t k, double z) {
      const uint64_t seed = seed_of(80 + side, k);
      Add({.kind = Kind::kCar,
           .seed = seed,
           .position = {side * kLane, 0, z + 10 + 6 * Uniform(seed, 1)},
           .then_from_now = {0, 0, -speed * frame_time_},
           .half_width = 0.9,
           .height = 1.35 + 0.3 * Uniform(seed, 3),
           .half_length = 2.0 + 0.3 * Uniform(seed, 4),
           .towards = side < 0});
    });
  }
}

}  // namespace stac
