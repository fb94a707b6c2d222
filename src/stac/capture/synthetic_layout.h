#pragma once

#include <cmath>
#include <cstdint>

#include "stac/capture/synthetic_noise.h"

// Where things are in the synthetic street, in metres across (x), up (y) and along (z).
namespace stac::street_layout {

inline constexpr double kCameraSpeed = 2.5;  // m/s
inline constexpr double kLane = 1.6;         // centre of a lane
inline constexpr double kKerb = 5.0;         // half the road
inline constexpr double kFacade = 8.0;       // the houses' front
inline constexpr double kBackdrop = 24.0;    // the houses behind
inline constexpr double kBlockLength = 11.0;
inline constexpr double kNear = 0.2;       // nothing is seen closer than this
inline constexpr double kFarObjects = 95;  // objects are drawn up to this far

// One house, or the hedge in a gap between houses.
struct Block {
  uint64_t seed;
  int64_t cell;
  double height;
  bool hedge;
};
inline Block BlockAt(uint64_t street, double x, double z) {
  const auto cell = static_cast<int64_t>(std::floor(z / kBlockLength));
  const bool behind = std::abs(x) > kFacade + 1;
  const uint64_t seed = MixBits(street, cell, static_cast<int64_t>(x));
  const bool hedge = !behind && Uniform(seed, 1) < 0.22f;
  const double height = hedge ? 2.6 + 1.5 * Uniform(seed, 2)
                              : (behind ? 7 : 6) + (behind ? 12 : 7) * Uniform(seed, 2);
  return {seed, cell, height, hedge};
}

// Windows lie on a grid of storeys; the ground floor has doors and shop windows.
enum FacadeParts : uint32_t { kWall, kWindow, kShop, kCornice };
inline constexpr float kStorey = 2.9f;
inline constexpr float kGroundFloor = 3.2f;
inline uint32_t FacadePart(const Block& block, float z, float height) {
  if (block.hedge) return kWall;
  const float along = z - static_cast<float>(block.cell * kBlockLength);
  if (height > static_cast<float>(block.height) - 0.35f) return kCornice;
  if (height < kGroundFloor) {
    const float width = 2.75f;
    const float inside = std::fmod(along, width);
    return height > 0.5f && height < 2.5f && inside > 0.35f && inside < 2.4f ? kShop : kWall;
  }
  const float bay = 1.57f;
  const float u = std::fmod(along, bay), v = std::fmod(height - kGroundFloor, kStorey);
  const bool room = block.height - height > kStorey - v - 0.4;
  return room && u > 0.32f && u < 1.25f && v > 0.75f && v < 2.35f ? kWindow : kWall;
}

enum GroundParts { kAsphalt, kPatch, kMarking, kKerbStone, kPaving };
inline GroundParts GroundPartAt(double x, double z) {
  const double side = std::abs(x);
  if (side > kKerb + 0.18) return kPaving;
  if (side > kKerb) return kKerbStone;
  const double dash = z - 6 * std::floor(z / 6);
  if (side < 0.08 && dash < 3) return kMarking;
  if (std::abs(side - 3.0) < 0.06) return kMarking;
  // A zebra crossing where people cross.
  const double block = z - 60 * std::floor(z / 60);
  const double stripe = x - std::floor(x);
  if (block > 18.2 && block < 21.2 && stripe < 0.5) return kMarking;
  const auto column = static_cast<int64_t>(std::floor(x / 1.7));
  const auto row = static_cast<int64_t>(std::floor(z / 3.1));
  return Uniform(77, column, row) < 0.12f ? kPatch : kAsphalt;
}

enum CarParts : uint32_t { kPaint, kGlass, kTyre, kLight, kPlate, kTop };
// `face`: 1 side, 2 top, 3 front or rear; (u, v) on it, metres from the car's centre and the road.
inline uint32_t CarPart(uint32_t box, uint32_t face, float u, float v, double half_width,
                        double half_length, double belt, double height) {
  if (box == 1) {
    if (face == 2) return kTop;
    const bool pillar = face == 1 && std::abs(u - 0.15f) < 0.06f;
    return v > belt + 0.04 && v < height - 0.09 && !pillar &&
                   (face == 1 || std::abs(u) < 0.78 * half_width)
               ? kGlass
               : kPaint;
  }
  if (face == 2) return kTop;
  if (face == 1) {
    const double wheel = std::abs(u) - 0.62 * half_length;
    return std::hypot(wheel, v - 0.31) < 0.31 ? kTyre : kPaint;
  }
  if (v < 0.22f) return kTyre;
  if (v > 0.5 * belt && v < 0.85 * belt && std::abs(u) > 0.62 * half_width) return kLight;
  if (v > 0.4f && v < 0.52f && std::abs(u) < 0.26f) return kPlate;
  return kPaint;
}

}  // namespace stac::street_layout
