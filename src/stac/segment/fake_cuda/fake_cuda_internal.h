#pragma once

#include <cstdint>

// A CUDA device that is none, for tests on machines without one. For LibTorch code only.

namespace stac {

// What was asked of the device.
struct FakeCudaWork {
  int64_t operations = 0;  // kernels to launch; views, which move nothing, are none
  int64_t uploads = 0;
  int64_t uploaded_bytes = 0;
  int64_t downloads = 0;  // each waits until all work before it on its stream is done
  int64_t downloaded_bytes = 0;
};

// From now on this process's LibTorch has one CUDA device. It computes on the CPU and keeps a real
// one's rules:
// - the host cannot read its memory (the program crashes);
// - an operation refuses operands that lie elsewhere, but for single numbers;
// - a stream must wait for what another stream has made, or the operation that uses it throws;
// - a convolution adds in its operands' numbers, so halves answer with halves.
// Times mean nothing. Any number of calls, but the first before LibTorch is asked for a device.
// False, and nothing done, where LibTorch was built with CUDA.
bool InstallFakeCuda();

// Since the last call, of all threads.
FakeCudaWork TakeFakeCudaWork();

}  // namespace stac
