import time
def test_a(tiny_base): pass
def test_b(tiny_checkpoint):
    from emosym import EmoSymPipeline
    t=time.time(); p = EmoSymPipeline.from_pretrained(tiny_checkpoint, "cpu"); print('load', time.time()-t)
    from PIL import Image
    im = Image.new("RGB",(90,70),(200,30,20))
    t=time.time(); r=p.understand(im, explain=True); print('und', time.time()-t, r)
    t=time.time(); o=p.generate("awe", num_images=3, num_inference_steps=2); print('gen', time.time()-t, o[0])
