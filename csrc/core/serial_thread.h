// A thread that computes by itself, because others like it use the other processors: a worker of a DataLoader.
#pragma once

namespace fastnn {

void set_serial_thread(bool serial);

}  // namespace fastnn
