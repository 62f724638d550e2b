import tensorflow as tf

# As the arm sets them: TensorFlow takes threads only before its first operation, whichever test that is.
tf.config.threading.set_intra_op_parallelism_threads(2)
tf.config.threading.set_inter_op_parallelism_threads(1)
