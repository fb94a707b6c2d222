#include "stac/capture/synthetic_street.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "stac/capture/synthetic_layout.h"
#include "stac/capture/synthetic_noise.h"

namespace stac {
namespace {

using namespace street_layout;

enum Label : uint8_t {
  kRoad = 0,
  kSidewalk = 1,
  kBuilding = 2,
  kPole = 5,
  kTrafficLight = 6,
  kTrafficSign = 7,
  kVegetation = 8,
  kSky = 10,
  kPerson = 11,
  kCar = 13,
};

uint32_t Part(StreetHit::Surface surface, int64_t cell, uint32_t sub = 0) {
  return static_cast<uint32_t>(surface) << 28 | (static_cast<uint32_t>(cell) & 0xFFFFu) << 12 |
         (sub & 0xFFFu);
}

StreetCamera CameraAt(double time, bool moves, int width, int height) {
  const double t = moves ? time : 0;
  const double wave = 2 * std::numbers::pi * t;
  StreetCamera camera;
  camera.position = {kLane + 0.15 * std::sin(wave / 5), 1.5 + 0.02 * std::sin(wave / 0.9),
                     kCameraSpeed * t};
  camera.yaw = 0.02 * std::sin(wave / 7);
  camera.focal = 0.85 * width;
  camera.centre_x = 0.5 * (width - 1);
  camera.centre_y = 0.45 * (height - 1);
  return camera;
}

}  // namespace

Vec3 StreetCamera::Ray(double x, double y) const {
  const double u = (x - centre_x) / focal;
  const double v = (centre_y - y) / focal;
  const double sine = std::sin(yaw), cosine = std::cos(yaw);
  return {u * cosine + sine, v, cosine - u * sine};
}

Vec2 StreetCamera::Project(const Vec3& relative) const {
  const double sine = std::sin(yaw), cosine = std::cos(yaw);
  const double forward = std::max(relative.x * sine + relative.z * cosine, 1e-3);
  const double right = relative.x * cosine - relative.z * sine;
  return {static_cast<float>(centre_x + focal * right / forward),
          static_cast<float>(centre_y - focal * relative.y / forward)};
}

Street::Street(uint64_t seed, double time, double frame_time, bool camera_moves, int width,
               int height)
    : seed_(MixBits(seed)),
      time_(time),
      frame_time_(frame_time),
      camera_moves_(camera_moves),
      width_(width),
      height_(height),
      camera_(CameraAt(time, camera_moves, width, height)),
      camera_then_(CameraAt(time - frame_time, camera_moves, width, height)) {
  AddObjects();
}

void Street::CollectRow(double y, std::vector<int>& objects) const {
  objects.clear();
  for (int i = 0; i < static_cast<int>(objects_.size()); ++i) {
    const Object& object = objects_[static_cast<size_t>(i)];
    if (y >= object.top - 1 && y <= object.bottom + 1) objects.push_back(i);
  }
}

StreetHit Street::Trace(double x, double y, const std::vector<int>& objects) const {
  const Vec3 ray = camera_.Ray(x, y);
  StreetHit hit;
  TraceBackground(ray, hit);
  for (const int index : objects) {
    const Object& object = objects_[static_cast<size_t>(index)];
    if (x < object.left || x > object.right || y < object.top || y > object.bottom) continue;
    TraceObject(index, ray, hit);
  }
  if (hit.surface == StreetHit::Surface::kSky) {
    hit.point = ray;
  } else {
    hit.point = {camera_.position.x + hit.distance * ray.x,
                 camera_.position.y + hit.distance * ray.y,
                 camera_.position.z + hit.distance * ray.z};
  }
  return hit;
}

Vec2 Street::ThenFromNow(double x, double y, const StreetHit& hit) const {
  Vec3 relative = hit.point;
  if (hit.surface != StreetHit::Surface::kSky) {
    relative = {hit.point.x - camera_then_.position.x, hit.point.y - camera_then_.position.y,
                hit.point.z - camera_then_.position.z};
  }
  if (hit.object >= 0) {
    const Vec3& motion = objects_[static_cast<size_t>(hit.object)].then_from_now;
    relative.x += motion.x;
    relative.z += motion.z;
  }
  const Vec2 then = camera_then_.Project(relative);
  return {then.x - static_cast<float>(x), then.y - static_cast<float>(y)};
}

void Street::TraceBackground(const Vec3& ray, StreetHit& hit) const {
  using Surface = StreetHit::Surface;
  hit.label = kSky;
  hit.part = Part(Surface::kSky, 0);
  const Vec3& eye = camera_.position;
  // Walls along the street: houses and, in gaps, hedges; behind them higher houses.
  for (const double wall : {kFacade, kBackdrop}) {
    if (std::abs(ray.x) < 1e-6) break;
    const double x = ray.x < 0 ? -wall : wall;
    const double t = (x - eye.x) / ray.x;
    const double height = eye.y + t * ray.y;
    if (height < 0) break;  // the ground is in front
    const double z = eye.z + t * ray.z;
    const Block block = BlockAt(seed_, x, z);
    if (height > block.height) continue;
    if (block.hedge && height > block.height - 0.7 +
                                    0.7 * ValueNoise(block.seed, static_cast<float>(z * 1.3),
                                                     static_cast<float>(0))) {
      continue;
    }
    hit.surface =
        wall == kFacade ? (block.hedge ? Surface::kHedge : Surface::kFacade) : Surface::kBackdrop;
    hit.label = block.hedge ? kVegetation : kBuilding;
    hit.distance = t;
    hit.u = static_cast<float>(z);
    hit.v = static_cast<float>(height);
    hit.part = Part(hit.surface, block.cell * 2 + (x > 0), FacadePart(block, hit.u, hit.v));
    return;
  }
  if (ray.y >= 0) return;
  const double t = -eye.y / ray.y;
  hit.surface = Surface::kGround;
  hit.distance = t;
  const double x = eye.x + t * ray.x;
  const double z = eye.z + t * ray.z;
  hit.u = static_cast<float>(x);
  hit.v = static_cast<float>(z);
  hit.label = std::abs(x) < kKerb ? kRoad : kSidewalk;
  hit.part = Part(Surface::kGround, static_cast<int64_t>(GroundPartAt(x, z)), InShadow(x, z));
}

bool Street::InShadow(double x, double z) const {
  for (const Object& object : objects_) {
    if (object.kind != Kind::kCar) continue;
    if (std::abs(x - object.position.x) < object.half_width + 0.1 &&
        std::abs(z - object.position.z) < object.half_length + 0.15) {
      return true;
    }
  }
  return false;
}

void Street::TraceObject(int index, const Vec3& ray, StreetHit& hit) const {
  const Object& object = objects_[static_cast<size_t>(index)];
  if (object.kind == Kind::kCar) return TraceCar(object, index, ray, hit);
  // Everything else is flat and faces along the street.
  const double t = (object.position.z - camera_.position.z) / ray.z;
  if (t < kNear || t >= hit.distance) return;
  const double u = camera_.position.x + t * ray.x - object.position.x;
  const double v = camera_.position.y + t * ray.y;
  if (std::abs(u) > object.half_width || v < 0 || v > object.height) return;
  uint8_t label = kPole;
  uint32_t sub = 0;
  switch (object.kind) {
    case Kind::kTree: {
      label = kVegetation;
      const double radius = object.half_width / 1.25;
      const double up = object.height - radius * 1.1;
      const double angle = std::atan2(v - up, u);
      const double bumps =
          ValueNoise(object.seed, static_cast<float>(angle * 3), static_cast<float>(radius));
      const double reach = radius * (1.0 + 0.2 * bumps);
      if (std::hypot(u, (v - up) / 1.05) <= reach) {
        sub = 1;
      } else if (v > up || std::abs(u) > 0.13 + 0.03 * (1 - v / up)) {
        return;
      }
      break;
    }
    case Kind::kLamp:
      sub = v > object.height - 0.3 ? 1 : 0;
      break;
    case Kind::kSign:
      if (std::hypot(u, v - (object.height - 0.33)) < 0.33) {
        label = kTrafficSign;
        sub = std::hypot(u, v - (object.height - 0.33)) < 0.24 ? 2 : 1;
      } else if (std::abs(u) > 0.04) {
        return;
      }
      break;
    case Kind::kSignal:
      if (v > object.height - 0.95) {
        label = kTrafficLight;
        const double lamp = std::fmod(object.height - v, 0.3) - 0.16;
        sub = std::hypot(u, lamp) < 0.1 ? 2 + static_cast<uint32_t>((object.height - v) / 0.3) : 1;
      } else if (std::abs(u) > 0.06) {
        return;
      }
      break;
    case Kind::kPerson: {
      label = kPerson;
      const double part = v / object.height;
      const double head = std::hypot(u, v - 0.925 * object.height);
      if (part > 0.85) {
        if (head > 0.125) return;
        sub = 2;
      } else if (part > 0.47) {
        if (std::abs(u) > 0.25 - 0.1 * std::max(0.0, part - 0.75) / 0.1) return;
        sub = 1;
      } else if (std::abs(std::abs(u) - 0.1) > 0.09) {
        return;
      }
      break;
    }
    case Kind::kCar:
      return;
  }
  hit = {.surface = StreetHit::Surface::kObject,
         .label = label,
         .part = Part(StreetHit::Surface::kObject, index, sub),
         .object = index,
         .distance = t,
         .u = static_cast<float>(u),
         .v = static_cast<float>(v)};
}

void Street::TraceCar(const Object& car, int index, const Vec3& ray, StreetHit& hit) const {
  // Two boxes: the body, and the cabin on top of it.
  struct Box {
    double x, y0, y1, z0, z1;
  };
  const double back = car.towards ? 1 : -1;  // where the cabin sits
  const double belt = 0.58 * car.height;
  const Box boxes[2] = {{car.half_width, 0.0, belt, -car.half_length, car.half_length},
                        {car.half_width * 0.86, belt, car.height,
                         -car.half_length * 0.55 + back * 0.3, car.half_length * 0.6 + back * 0.3}};
  const Vec3 eye = {camera_.position.x - car.position.x, camera_.position.y,
                    camera_.position.z - car.position.z};
  for (uint32_t b = 0; b < 2; ++b) {
    const Box& box = boxes[b];
    double enter = kNear, leave = hit.distance;
    uint32_t face = 0;
    const auto slab = [&](double origin, double direction, double low, double high, uint32_t id) {
      if (std::abs(direction) < 1e-9) {
        if (origin < low || origin > high) leave = -1;
        return;
      }
      double t0 = (low - origin) / direction, t1 = (high - origin) / direction;
      if (t0 > t1) std::swap(t0, t1);
      if (t0 > enter) {
        enter = t0;
        face = id;
      }
      leave = std::min(leave, t1);
    };
    slab(eye.x, ray.x, -box.x, box.x, 1);   // side
    slab(eye.y, ray.y, box.y0, box.y1, 2);  // top
    slab(eye.z, ray.z, box.z0, box.z1, 3);  // front or rear
    if (enter >= leave || face == 0) continue;
    const double x = eye.x + enter * ray.x, y = eye.y + enter * ray.y, z = eye.z + enter * ray.z;
    const float u = static_cast<float>(face == 1 ? z : x);
    const float v = static_cast<float>(face == 2 ? z : y);
    // Below the sill there is only wheels, and the road seen through.
    if (b == 0 && y < 0.2) {
      const bool wheel = face == 1 ? std::abs(std::abs(u) - 0.62 * car.half_length) < 0.3
                                   : std::abs(u) > 0.6 * car.half_width;
      if (!wheel) continue;
    }
    hit = {.surface = StreetHit::Surface::kObject,
           .label = kCar,
           .part = Part(StreetHit::Surface::kObject, index,
                        CarPart(b, face, u, v, car.half_width, car.half_length, belt, car.height)),
           .object = index,
           .distance = enter,
           .u = u,
           .v = v};
  }
}

}  // namespace stac
