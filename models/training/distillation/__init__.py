"""EdgeSAM's training: a small encoder learns from a large model, prompts in the loop.

Source: Zhou et al., "EdgeSAM: Prompt-In-the-Loop Distillation for On-Device Deployment of SAM"
(2023), algorithm 1; numbers and traps in spec/edgesam.md, section 4.
"""
