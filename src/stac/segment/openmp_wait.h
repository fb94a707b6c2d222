#pragma once

namespace stac {

// Call first in main() of a program that runs networks on the CPU. libgomp's threads spin for
// milliseconds at the end of each parallel loop; where other processes want the same cores, each
// such wait costs a time slice, and a network runs several times slower (measured on 2 cores shared
// with compilers: DeepLab 480x360 forward 0.1-0.15 s asleep, 0.3-2.5 s spinning). libgomp reads its
// settings before main(), so this sets OMP_WAIT_POLICY=PASSIVE and starts the program anew, with
// the same arguments and process id. Does nothing if the user has set OMP_WAIT_POLICY or
// GOMP_SPINCOUNT, or if the program cannot be started anew. argv: as main() got it.
void RestartWithSleepingThreads(char** argv);

}  // namespace stac
