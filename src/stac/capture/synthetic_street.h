#pragma once

#include <cstdint>
#include <vector>

#include "stac/capture/image_io.h"
#include "stac/video/maps.h"

namespace stac {

struct Vec3 {
  double x = 0, y = 0, z = 0;  // metres: right, up, forward
};

// A pinhole camera that looks along z, turned by `yaw` to the right.
struct StreetCamera {
  Vec3 position;
  double yaw = 0;
  double focal = 1;                   // pixels
  double centre_x = 0, centre_y = 0;  // principal point, pixels

  // The direction of a pixel; z is 1 before the turn.
  Vec3 Ray(double x, double y) const;
  // Where a direction (relative to the camera) is seen.
  Vec2 Project(const Vec3& relative) const;
};

// What a ray meets first.
struct StreetHit {
  enum class Surface : uint8_t { kSky, kGround, kFacade, kBackdrop, kHedge, kObject };
  Surface surface = Surface::kSky;
  uint8_t label = 0;  // Cityscapes train id
  uint32_t part = 0;  // differs between parts that have an edge between them
  int object = -1;
  double distance = 1e9;  // along the ray, in units of its z
  Vec3 point;             // for the sky: the direction
  float u = 0, v = 0;     // on the surface, metres
};

// A straight street without end at one moment. Everything that stands or moves in it follows from
// the seed and the time. Sizes, distances and speeds are roughly those of a town.
class Street {
 public:
  // `frame_time` is the time between frames. All in seconds.
  Street(uint64_t seed, double time, double frame_time, bool camera_moves, int width, int height);

  const StreetCamera& camera() const { return camera_; }
  // Objects that may be seen in a row of pixels, for Trace().
  void CollectRow(double y, std::vector<int>& objects) const;
  StreetHit Trace(double x, double y, const std::vector<int>& objects) const;
  Rgb Shade(const StreetHit& hit) const;
  // From a pixel where `hit` is seen back to where the same point was seen a frame earlier.
  Vec2 ThenFromNow(double x, double y, const StreetHit& hit) const;

 private:
  enum class Kind : uint8_t { kTree, kLamp, kSign, kSignal, kCar, kPerson };
  struct Object {
    Kind kind;
    uint64_t seed;
    Vec3 position;       // centre of the foot
    Vec3 then_from_now;  // its motion back to the frame before
    double half_width, height, half_length;
    bool towards;                     // cars: faces the camera
    double left, right, top, bottom;  // in the picture
  };

  void AddObjects();
  void Add(Object object);
  void TraceBackground(const Vec3& ray, StreetHit& hit) const;
  void TraceObject(int index, const Vec3& ray, StreetHit& hit) const;
  void TraceCar(const Object& car, int index, const Vec3& ray, StreetHit& hit) const;
  bool InShadow(double x, double z) const;
  // Colours before haze, 0..255.
  struct Colour {
    float r, g, b;
  };
  Colour ShadeSky(const StreetHit& hit) const;
  Colour ShadeGround(const StreetHit& hit, float footprint) const;
  Colour ShadeFacade(const StreetHit& hit, float footprint) const;
  Colour ShadeObject(const StreetHit& hit, float footprint) const;

  uint64_t seed_;
  double time_, frame_time_;
  bool camera_moves_;
  int width_, height_;
  StreetCamera camera_, camera_then_;
  std::vector<Object> objects_;
};

}  // namespace stac
