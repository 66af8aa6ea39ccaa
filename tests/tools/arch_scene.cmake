cusp_test(arch_scene_test
  SOURCES arch_scene_test.cc surface_nets_test.cc
  DEPENDS cusp_arch_scene)
