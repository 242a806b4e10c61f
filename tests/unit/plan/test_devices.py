"""Where a model is trained and an encoder runs, which is no setting of its training."""

import pytest


@pytest.mark.parametrize("model", ["units", "mlp"])
def test_a_model_without_a_gpu_runs_on_one_thread_of_the_cpu(plan, model):
    devices, small = plan.devices, f"{model}@gpu=0"
    large = f"{model}@gpu=1"
    assert (devices.gpu(large), devices.threads(large), devices.arguments(large)) == (1, 2, [])
    assert (devices.gpu(small), devices.threads(small)) == (0, 1)
    assert devices.arguments(small) == ["--device", "cpu"]


def test_a_closed_form_asks_for_no_gpu(plan):
    assert plan.devices.gpu("ridge") == 0


def test_where_a_model_runs_is_no_setting_of_its_training(plan):
    for settings, model in (
        (plan.forecasters.training_settings, "units"),
        (plan.decoders.training_settings, "mlp"),
    ):
        assert settings(f"{model}@gpu=0") == settings(model)


def test_an_encoder_without_a_gpu_is_trained_and_runs_on_one_thread_of_the_cpu(planned):
    small = {"kind": "demo_clip", "stimuli": "pictures", "gpu": 0}
    devices = planned({"encoders": {"small": small}}).devices
    assert (devices.gpu_of("encoders", "small"), devices.threads_of("encoders", "small")) == (0, 1)
    assert devices.arguments_of("encoders", "small") == ["--device", "cpu"]
    assert devices.threads_of("encoders", "small", beside=4) == 1
    assert devices.gpu_of("encoders", "demo_clip") == 1
    assert devices.threads_of("encoders", "demo_clip", beside=4) == 4
    assert devices.arguments_of("encoders", "demo_clip") == []
