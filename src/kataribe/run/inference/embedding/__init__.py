"""Encoders at work: texts to vectors and labels.

`load` opens a folder, `local` is what is asked, `batches` orders texts so that nothing is padded,
`runner` computes with PyTorch and is the only module here that imports it.
"""
